"""Sums of several labels from passes that they share."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from models.errors import NonFiniteGradient
from models.specifications import ArchitectureSpec
from tests.unit.workers.unlearning.oracles import worst_relative_error
from workers.architectures import build
from workers.unlearning import summation
from workers.unlearning.batches import Batch
from workers.unlearning.importances import fisher_sums, sums_by_label


def make_network() -> nn.Module:
    torch.manual_seed(0)
    options = {"in_channels": 1, "width": 4}
    return build(ArchitectureSpec(name="small_resnet", num_classes=5, options=options))


def make_samples(labels: torch.Tensor) -> Batch:
    torch.manual_seed(len(labels))
    return Batch.of(torch.randn(len(labels), 1, 8, 8), labels)


@pytest.mark.parametrize("counts", [[], [1], [1, 1, 1], [9, 1, 300, 8], [0, 20, 0, 1]])
@pytest.mark.parametrize("at_once", [1, 1 << 30])
def test_sums_by_label_are_those_of_each_label_alone(
    counts: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summation, "MOST_BYTES", at_once)
    network = make_network()
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=int))
    samples = make_samples(labels)
    batches = [samples.part(start, start + 50) for start in range(0, len(labels), 50)]
    found = dict(sums_by_label(network, batches))
    assert list(found) == [label for label, count in enumerate(counts) if count]
    for label, sums in found.items():
        rows = labels == label
        alone = Batch(samples.inputs[rows], samples.labels[rows], samples.positions[rows])
        expected = fisher_sums(network, [alone], reproducible=True)
        assert worst_relative_error(sums, expected) <= 1e-13


def test_sums_by_label_come_as_soon_as_a_label_is_complete() -> None:
    network = make_network()
    taken = []

    def batches() -> Iterator[Batch]:
        for label in range(4):
            taken.append(label)
            yield make_samples(torch.full((256,), label))

    label, _ = next(sums_by_label(network, batches()))
    assert (label, taken) == (0, [0, 1])


def test_a_sample_that_is_not_finite_is_named_among_labels() -> None:
    network = make_network()
    samples = make_samples(torch.arange(30) // 6)
    samples.inputs[17] = torch.nan
    with pytest.raises(NonFiniteGradient) as caught:
        list(sums_by_label(network, [samples]))
    assert caught.value.position == samples.positions[17]
