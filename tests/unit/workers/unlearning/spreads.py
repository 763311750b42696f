"""Sums as they occur, for tests of dampening on every device."""

import torch
from torch import Tensor


def uniform(seed: int, *shape: int) -> Tensor:
    """Float64 in [0, 1)."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spread(seed: int, *shape: int) -> Tensor:
    """Over decades; a fifth are exactly zero."""
    return 10 ** (30 * uniform(seed, *shape) - 25) * (uniform(seed + 1, *shape) < 0.8)


def shared(full: Tensor, seed: int) -> Tensor:
    """A share of each sum, most of them small; some are the whole, and some nothing."""
    special = uniform(seed, *full.shape)
    shares = uniform(seed + 1, *full.shape) ** 4 * (special < 0.9)
    return torch.where(special < 0.1, full, full * shares)
