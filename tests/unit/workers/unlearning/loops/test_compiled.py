"""Compiled loops: how many threads they use, and what they leave PyTorch."""

import os
import subprocess
import sys

import pytest

# numba starts its threads once in a process: at the first loop of any of these kinds.
PROGRAM = """
import numpy as np, torch
torch.set_num_threads(1)
from workers.unlearning.loops import kernels
from workers.unlearning.loops.compiled import use_threads
{loop}
print(torch.get_num_threads(), use_threads())
"""
LOOPS = {
    "scale": "kernels.scale(np.ones(4, np.float32), np.ones(4), np.ones(4, np.float32))",
    "add_scaled": "kernels.add_scaled(np.ones((2, 1, 3)), np.ones((2, 1, 3)), 1.0)",
    "use_threads": "use_threads()",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_leaves_the_threads_that_were_set(loop: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(loop=LOOPS[loop])],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["1", "1"]
