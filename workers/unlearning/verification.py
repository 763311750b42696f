"""What a network does on a set of samples, before and after, and whether that is acceptable."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from workers.unlearning.batches import Batch

# Shares of small counts are no exact binary fractions; 99 % − 97 % must not be more than 2 points.
ROUNDING = 1e-9


@dataclass
class Figures:
    """Counts over one set of samples; accuracy and mean loss follow from them."""

    count: int = 0
    correct: int = 0
    loss_sum: float = 0.0
    count_by_label: dict[int, int] = field(default_factory=dict)
    correct_by_label: dict[int, int] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """Share classified right, or None of no samples."""
        return self.correct / self.count if self.count else None

    @property
    def loss(self) -> float | None:
        """Mean cross-entropy in nats, or None of no samples."""
        return self.loss_sum / self.count if self.count else None

    def accuracy_without(self, labels: Iterable[int]) -> float | None:
        """Accuracy on the samples of all other labels."""
        others = set(self.count_by_label) - set(labels)
        count = sum(self.count_by_label[label] for label in others)
        correct = sum(self.correct_by_label[label] for label in others)
        return correct / count if count else None


@torch.no_grad()
def measure(network: nn.Module, batches: Iterable[Batch]) -> Figures:
    """Classify every sample once, in evaluation mode. Batches are as for Fisher sums."""
    figures = Figures()
    for batch in batches:
        labels = batch.labels
        logits = network(batch.inputs).double()
        right = logits.argmax(dim=1) == labels
        figures.count += len(labels)
        figures.correct += int(right.sum())
        figures.loss_sum += float(
            nn.functional.cross_entropy(logits, labels, reduction="sum") if len(labels) else 0.0
        )
        for label, hit in zip(labels.tolist(), right.tolist(), strict=True):
            figures.count_by_label[label] = figures.count_by_label.get(label, 0) + 1
            figures.correct_by_label[label] = figures.correct_by_label.get(label, 0) + hit
    return figures


def judge(before: Figures, after: Figures, *, max_fall: float) -> list[str]:
    """Why a candidate must not be published, in sentences; empty if it may be.

    Both figures are of the same retained probe.
    """
    if before.accuracy is None or after.accuracy is None:
        return ["The retained probe is empty, so nothing can be said about the damage done."]
    fall = before.accuracy - after.accuracy
    if fall - max_fall > ROUNDING:
        return [
            f"Accuracy on the retained probe of {after.count} samples would fall by "
            f"{100 * fall:.1f} points, from {100 * before.accuracy:.1f} % to "
            f"{100 * after.accuracy:.1f} %; the policy allows {100 * max_fall:.1f}."
        ]
    return []
