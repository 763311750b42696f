"""What is summed by itself: the training samples of each larger label, and all the others together.

The sums of a label's training samples are what a request needs that leaves none of them, and then
it needs no gradient pass (docs/decisions/0023). They are as large as all sums, so as many are kept
as a bound of bytes allows, and none of labels that a pass is soon through with.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from models.settings import Settings
from workers.datasets import Dataset
from workers.datasets.source import Position
from workers.enrolment.shards import ShardLog, sum_shards
from workers.unlearning.estimators import Estimator

# Samples of a label from which on its sums are worth a file.
LEAST = 256


@dataclass(frozen=True)
class Portion:
    """Training samples of `label`; of all labels without a portion of their own if it is None."""

    label: int | None
    samples: list[Position]


def portions_of(training: Sequence[Position], network: nn.Module, most_bytes: int) -> list[Portion]:
    """All of `training`, in order within each portion; portions in the order of their labels.

    Labels with the most samples get their own first, as many as there are sets of float64 sums in
    `most_bytes`.
    """
    size = sum(8 * parameter.numel() for parameter in network.parameters())
    room = most_bytes // max(1, size)
    counts = Counter(label for _, label in training)
    large = sorted(label for label, count in counts.items() if count >= LEAST)
    own = set(sorted(large, key=lambda label: -counts[label])[:room])
    by_label: dict[int | None, list[Position]] = {label: [] for label in sorted(own)}
    by_label[None] = []
    for position, label in training:
        by_label[label if label in own else None].append((position, label))
    return [Portion(label, samples) for label, samples in by_label.items() if samples]


def sum_portions(
    network: nn.Module,
    estimator: Estimator,
    dataset: Dataset,
    portions: Sequence[Portion],
    log: ShardLog,
    settings: Settings,
    advance: Callable[[int], None],
) -> None:
    """Fisher sums over each portion, in a log of its own beside `log`; see `sum_shards`."""
    for portion in portions:
        of_portion = log.of_label(portion.label)
        sum_shards(network, estimator, dataset, portion.samples, of_portion, settings, advance)
