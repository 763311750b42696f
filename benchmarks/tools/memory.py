"""How much memory work takes: a process's own from the system, or a GPU's from PyTorch."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

# glibc's number for the size from which a piece of memory is the system's (malloc.h).
M_MMAP_THRESHOLD = -3


def peak_above_now(run: Callable[[], object], device: torch.device) -> float:
    """MiB that `run` adds at its peak to what this process, or the GPU, holds already."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - held) / 2**20
    release()
    # 5: forget the peak so far (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    run()
    return (status("VmHWM") - before) / 1024


def give_back_what_is_freed() -> None:
    """From now on, memory that is freed goes back to the system, if it was a megabyte or more.

    Else what is measured depends on how the pieces happen to lie on the heap: a pass with the same
    tensors took 202 to 223 MiB in four processes, and takes 171 or 172 like this. Nobody's time is
    measured here, for which it would be bad.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, 1 << 20)


def release() -> None:
    """Give freed memory back to the system: a pass that reuses it would seem to need less."""
    gc.collect()
    # glibc has it, other C libraries need not.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def status(field: str) -> int:
    """A figure of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
