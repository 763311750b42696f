"""Which tensors the loops for GPUs can work on (`gpu_kernels.py`).

Elsewhere, for other number formats, and where they cannot be compiled, their callers use tensor
operations, which are slower and give the same but for the order of sums.
"""

import logging
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from subprocess import SubprocessError

import torch
from torch import Tensor

FORMATS = (torch.float32, torch.float64)
log = logging.getLogger(__name__)


def is_fused(*tensors: Tensor) -> bool:
    """Whether the loops can work on these tensors."""
    suitable = all(
        tensor.is_cuda and tensor.is_contiguous() and tensor.dtype in FORMATS for tensor in tensors
    )
    return suitable and can_compile()


def load_compiler() -> None:
    """Import Triton, if it is there, which takes half a second; no GPU is touched.

    A process that is going to fork may call it for all its children.
    """
    if find_spec("triton") is not None:
        import_module("workers.unlearning.loops.gpu_kernels")


@cache
def can_compile() -> bool:
    """Whether this machine's loops run, tried once in a process, on a single number.

    Triton may be missing, or not know the GPU; and it needs a C compiler, Python's headers and a
    folder to write to.
    """
    try:
        from workers.unlearning.loops import gpu_kernels

        one = torch.ones(1, dtype=torch.float64, device="cuda")
        return bool(gpu_kernels.scale(one, one) == 1)
    except (ImportError, OSError, RuntimeError, SubprocessError) as error:
        log.warning(
            "Loops for the GPU cannot be compiled, slower operations are used: %s: %s",
            type(error).__name__,
            error,
        )
        return False
