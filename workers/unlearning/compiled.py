"""What loops for the CPU are compiled with, and which tensors they can work on.

On other devices, and for other number formats, their callers use tensor operations.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numba
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


class Decorator(Protocol):
    """What compiles a function leaves its types as they are."""

    def __call__(self, function: Function, /) -> Function:
        """The function, compiled when it is first called."""
        ...


# Division as the processor does it: by 0 it is infinite, not an exception.
compiled: Decorator = numba.njit(cache=True, nogil=True, error_model="numpy")
compiled_parallel: Decorator = numba.njit(
    cache=True, nogil=True, error_model="numpy", parallel=True
)

# Sums may be added up in the order that the processor's vectors like; it is always the same one.
compiled_reordered: Decorator = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    parallel=True,
    fastmath={"reassoc", "contract", "nsz"},
)


@compiled
def load_compiler() -> None:
    """Does nothing, but when it is first called numba gets ready, which takes a third of a second.

    It starts no thread, so a process that is going to fork may call it for all its children.
    """


def is_compiled(*tensors: Tensor) -> bool:
    """Whether the compiled loops can work on these tensors."""
    return all(
        tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and tensor.dtype in (torch.float32, torch.float64)
        for tensor in tensors
    )


def flat(tensor: Tensor) -> Array:
    """The tensor's own memory, as one row."""
    array: Array = tensor.detach().view(-1).numpy()
    return array


def use_threads() -> int:
    """Let parallel loops have as many threads as PyTorch; how many that is."""
    threads: int = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(threads)
    return threads
