"""Which tensors the loops for GPUs can work on (`gpu_kernels.py`).

Elsewhere, for other number formats and without a C compiler, their callers use tensor operations,
which are slower and round alike but for the order of sums.
"""

import os
from functools import cache
from importlib.util import find_spec
from shutil import which

import torch
from torch import Tensor

FORMATS = (torch.float32, torch.float64)


@cache
def _can_compile() -> bool:
    """Whether Triton is there, which PyTorch brings along, and the C compiler that it calls."""
    compiler = os.environ.get("CC") or which("gcc") or which("clang")
    return find_spec("triton") is not None and compiler is not None


def is_fused(*tensors: Tensor) -> bool:
    """Whether the loops can work on these tensors."""
    return (
        all(
            tensor.is_cuda and tensor.is_contiguous() and tensor.dtype in FORMATS
            for tensor in tensors
        )
        and _can_compile()
    )
