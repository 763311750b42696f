"""What networks made of samples, written down by hand."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.unlearning.probing.observation import Observed


class Echo(nn.Module):
    """Its inputs are the logits."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def seen(
    labels: Iterable[int],
    losses: Sequence[float] | float = 0.0,
    *,
    right: Sequence[bool] | bool = True,
    entropies: Sequence[float] | float = 0.0,
    first: int = 0,
) -> Observed:
    """Samples with these labels, at positions from `first` on."""
    of = np.array(list(labels), dtype=np.int64)
    return Observed(
        positions=np.arange(first, first + len(of)),
        labels=of,
        loss=np.broadcast_to(np.array(losses, dtype=np.float64), of.shape),
        right=np.broadcast_to(np.array(right, dtype=np.bool_), of.shape),
        entropy=np.broadcast_to(np.array(entropies, dtype=np.float64), of.shape),
    )


def hits(label: int, right: int, count: int, first: int = 0) -> Observed:
    """`count` samples of a label, the first `right` of them classified right."""
    return seen([label] * count, right=[i < right for i in range(count)], first=first)


def together(*parts: Observed) -> Observed:
    """All of them, in order."""
    columns: list[tuple[NDArray[Any], ...]] = [tuple(vars(part).values()) for part in parts]
    return Observed(*map(np.concatenate, zip(*columns, strict=True)))
