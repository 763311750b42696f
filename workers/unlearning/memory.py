"""Running out of memory, on whichever device."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says so. PyTorch has no class of its own for a CPU without memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error)
    )
