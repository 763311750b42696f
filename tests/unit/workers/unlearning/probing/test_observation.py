"""Observations against loops over samples."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.unit.workers.unlearning.observations import Echo, seen
from workers.unlearning.batches import Batch
from workers.unlearning.probing.observation import Observed, observe

logits = st.lists(
    st.tuples(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), st.integers(0, 2)),
    min_size=1,
    max_size=10,
)


def looked_at(rows: list[list[float]], labels: list[int]) -> Observed:
    return observe(Echo(), [Batch.of(torch.tensor(rows), torch.tensor(labels))])


@given(logits)
def test_every_sample_is_seen_as_by_a_loop_over_plain_numbers(
    samples: list[tuple[list[float], int]],
) -> None:
    observed = looked_at([row for row, _ in samples], [label for _, label in samples])
    for i, (row, label) in enumerate(samples):
        total = math.fsum(math.exp(logit - max(row)) for logit in row)
        shares = [math.exp(logit - max(row)) / total for logit in row]
        loss = math.log(total) + max(row) - row[label]
        entropy = -math.fsum(share * math.log(share) for share in shares if share)
        assert observed.loss[i] == pytest.approx(loss, abs=1e-9)
        assert observed.entropy[i] == pytest.approx(entropy, abs=1e-9)
        if sorted(row)[-1] > sorted(row)[-2] + 1e-6:
            assert observed.right[i] == (row[label] == max(row))


def test_samples_keep_their_order_and_positions_over_batches() -> None:
    inputs, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    positions = torch.tensor([7, 3, 9, 100, 4])
    whole = Batch(inputs, labels, positions)
    parts = [whole.part(0, 2), whole.part(2, 2), whole.part(2, 5)]
    together, apart = observe(Echo(), [whole]), observe(Echo(), parts)
    assert apart.positions.tolist() == positions.tolist()
    assert apart.labels.tolist() == labels.tolist()
    for name, values in vars(together).items():
        assert (values == vars(apart)[name]).all()


def test_what_was_observed_in_pieces_is_what_is_observed_at_once_by_position() -> None:
    inputs, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    whole = Batch(inputs, labels, torch.tensor([7, 3, 9, 100, 4]))
    pieces = [observe(Echo(), [part]) for part in (whole.part(3, 5), whole.part(0, 3))]
    together = Observed.together(pieces)
    assert together.positions.tolist() == [3, 4, 7, 9, 100]
    for name, values in vars(observe(Echo(), [whole])).items():
        assert (vars(together)[name] == values[[1, 4, 0, 2, 3]]).all()


@pytest.mark.parametrize("batches", [[], [Batch.of(torch.empty(0, 3), torch.empty(0).long())]])
def test_no_samples_have_no_figures(batches: list[Batch]) -> None:
    observed = observe(Echo(), batches)
    assert len(observed) == 0
    assert observed.accuracy is None
    assert observed.accuracy_estimate is None
    assert observed.loss_estimate is None
    assert observed.by_label() == {}
    assert len(observed.at([1, 2]).of([0]).without([])) == 0


def test_samples_are_found_by_position_and_by_label() -> None:
    observed = seen([0, 1, 2, 1], right=[True, False, True, True], first=10)
    assert observed.at({11, 13, 99}).positions.tolist() == [11, 13]
    assert observed.of([1, 2]).positions.tolist() == [11, 12, 13]
    assert observed.without(frozenset([1])).positions.tolist() == [10, 12]
    assert len(observed.at([])) == len(observed.of([])) == 0
    assert len(observed.without([])) == 4
    by_label = {label: part.positions.tolist() for label, part in observed.by_label().items()}
    assert by_label == {0: [10], 1: [11, 13], 2: [12]}


def test_accuracy_and_loss_are_means() -> None:
    observed = seen([0, 0, 1, 1], [1.0, 2.0, 3.0, 6.0], right=[True, False, True, True])
    assert observed.accuracy == 0.75
    accuracy, loss = observed.accuracy_estimate, observed.loss_estimate
    assert accuracy is not None
    assert loss is not None
    assert (accuracy.value, accuracy.count) == (0.75, 4)
    assert (loss.value, loss.count) == (3.0, 4)


@pytest.mark.parametrize(
    "row",
    [[math.nan] * 3, [math.nan, 0.0, 1.0], [math.inf] * 3, [-math.inf] * 3, [math.inf, 0.0, 0.0]],
)
def test_a_collapsed_network_has_figures_that_reports_can_show(row: list[float]) -> None:
    observed = looked_at([row, [0.0, 1.0, 2.0]], [0, 2])
    loss, accuracy = observed.loss_estimate, observed.accuracy_estimate
    assert loss is not None
    assert accuracy is not None
    assert loss.value is not None
    json.dumps([loss.as_document().as_json(), accuracy.as_document().as_json()], allow_nan=False)
    assert all(map(math.isfinite, observed.entropy))


def test_what_is_no_number_is_not_the_highest() -> None:
    observed = looked_at([[math.nan] * 3, [math.nan, 1.0, 0.0]], [0, 0])
    assert observed.right.tolist() == [False, False]


def test_a_label_that_is_ruled_out_costs_infinitely_much() -> None:
    observed = looked_at([[-math.inf, 0.0, 0.0]], [0])
    assert observed.loss.tolist() == [math.inf]
    assert observed.right.tolist() == [False]
    assert observed.entropy[0] == pytest.approx(math.log(2))


class Narrow(torch.nn.Module):
    """A network on a device that has memory for two samples at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if len(inputs) > 2:
            raise torch.OutOfMemoryError("out of memory")
        self.passes.append(len(inputs))
        return inputs


def test_a_device_without_memory_gets_smaller_passes_and_the_same_figures() -> None:
    outputs = torch.eye(5)
    batch = Batch(outputs, torch.arange(5), torch.arange(5))
    narrow = Narrow()
    seen, expected = observe(narrow, [batch]), observe(torch.nn.Identity(), [batch])
    assert narrow.passes == [2, 1, 2]
    assert seen.loss.tolist() == expected.loss.tolist()
    assert seen.positions.tolist() == [0, 1, 2, 3, 4]


def test_a_network_that_changes_its_input_in_place_sees_kept_batches_as_before() -> None:
    class Normalising(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.sub_(0.3).div_(0.5)

    batch = Batch.of(torch.randn(5, 3), torch.arange(5) % 3)
    first, again = observe(Normalising(), [batch]), observe(Normalising(), [batch])
    assert first.loss.tolist() == again.loss.tolist()


class Viewed(nn.Module):
    """It takes a view of what a convolution returns, as if its values lay in `shape`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(4 * 6 * 6, 5)
        self.shape = shape

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        seen = self.convolution(inputs).view(-1, *self.shape)
        return self.last(seen.reshape(len(inputs), -1))


@pytest.mark.parametrize(
    "shape",
    [
        (4 * 6 * 6,),
        # One image has such a view in any layout.
        (6, 6),
    ],
)
@pytest.mark.parametrize("first", [1, 2])
def test_a_network_that_needs_its_images_plainly_laid_out_gets_them_so(
    shape: tuple[int, ...], first: int
) -> None:
    torch.manual_seed(0)
    network, whole = Viewed(shape), Batch.of(torch.randn(5, 3, 8, 8), torch.arange(5))
    images = whole.inputs.contiguous(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="view"):
        network(images)
    observed = observe(network, [whole.part(0, first), whole.part(first, 5)])
    with torch.no_grad():
        shares = nn.functional.log_softmax(network(whole.inputs).double(), dim=1)
    expected = -shares.gather(1, whole.labels[:, None])[:, 0]
    assert observed.loss == pytest.approx(expected.numpy(), rel=1e-5)


@pytest.mark.parametrize("sizes", [(), (0,), (0, 3)])
def test_batches_without_images_are_no_hindrance(sizes: tuple[int, ...]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten())
    batches = [Batch.of(torch.randn(size, 3, 8, 8), torch.zeros(size).long()) for size in sizes]
    assert len(observe(network, batches)) == sum(sizes)


def test_what_is_wrong_with_a_network_is_said_whatever_the_layout() -> None:
    images = Batch.of(torch.randn(2, 3, 8, 8), torch.arange(2))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        observe(nn.Linear(3, 2), [images])
