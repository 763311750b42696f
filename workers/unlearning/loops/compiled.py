"""What loops for the CPU are compiled with, and which tensors they can work on.

On other devices (but see `gpu.py`), and for other number formats, their callers use tensor
operations.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

import numba
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Decorator(Protocol):
    """What compiles a function leaves its types as they are."""

    def __call__(self, function: Function, /) -> Function:
        """The function, compiled when it is first called."""
        ...


# Division as the processor does it: by 0 it is infinite, not an exception.
compiled: Decorator = numba.njit(cache=True, nogil=True, error_model="numpy")
_parallel: Decorator = numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
_reordered: Decorator = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    parallel=True,
    fastmath={"reassoc", "contract", "nsz"},
)


def compiled_parallel(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Compile a loop with `prange`, for as many threads as PyTorch has."""
    return _with_threads(_parallel(function))


def compiled_reordered(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Compile a parallel loop whose sums may be added up in the order that the processor likes.

    It is always the same order.
    """
    return _with_threads(_reordered(function))


def _with_threads(loop: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    @wraps(loop)
    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        use_threads()
        return loop(*arguments, **named)

    return call


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
    wanted = torch.get_num_threads()
    threads: int = min(wanted, numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(threads)
    # When numba starts its threads it tells OpenMP to use all processors, and PyTorch hears it too.
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
    return threads
