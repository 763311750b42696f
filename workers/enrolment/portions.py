"""What is summed by itself: the training samples of each larger label, and all the others together.

The sums of a label's training samples are what a request needs that leaves none of them, and then
it needs no gradient pass (docs/decisions/0023). They are as large as all sums, so as many are kept
as a bound of bytes allows, and none of labels that a pass is soon through with.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from workers.datasets.source import Position

# Samples of a label from which on its sums are worth a file.
LEAST = 256


@dataclass(frozen=True)
class Portion:
    """Training samples of `label`; of all labels without a portion of their own if it is None."""

    label: int | None
    samples: list[Position]

    def shards(self, size: int) -> list[list[Position]]:
        """The samples in order, so many at a time; the last shard may have fewer."""
        return [self.samples[start : start + size] for start in range(0, len(self.samples), size)]

    def digest(self) -> str:
        """Of the positions of its samples: what its sums are sums of."""
        positions = np.array([position for position, _ in self.samples], np.int64)
        return hashlib.sha256(positions.tobytes()).hexdigest()


def labels_apart(training: Sequence[Position], network: nn.Module, most_bytes: int) -> list[int]:
    """The labels that get a portion of their own.

    Those with the most samples first, as many as there are sets of float64 sums in `most_bytes`.
    """
    size = sum(8 * parameter.numel() for parameter in network.parameters())
    counts = Counter(label for _, label in training)
    large = sorted(label for label, count in counts.items() if count >= LEAST)
    return sorted(sorted(large, key=lambda label: -counts[label])[: most_bytes // max(1, size)])


def portions_of(training: Sequence[Position], apart: Collection[int]) -> list[Portion]:
    """All of `training`, in order within each portion; those of the labels `apart` come first."""
    by_label: dict[int | None, list[Position]] = {label: [] for label in sorted(apart)}
    by_label[None] = []
    for position, label in training:
        by_label[label if label in by_label else None].append((position, label))
    return [Portion(label, samples) for label, samples in by_label.items() if samples]
