"""Batches on their way to the GPU, and on it."""

import torch

from tests.unit.workers.unlearning.oracles import randn
from workers.unlearning.batches import Batch, joined


def _samples(count: int) -> Batch:
    """Samples at positions that are not their rows."""
    return Batch(
        randn(count, 3, 16, 16).float(), torch.arange(count) % 10, torch.arange(count) * 7 + 100
    )


def _assert_same(found: Batch, expected: Batch) -> None:
    assert torch.equal(found.inputs.cpu(), expected.inputs)
    assert torch.equal(found.labels.cpu(), expected.labels)
    assert torch.equal(found.positions, expected.positions)


def test_a_pinned_batch_arrives_with_the_same_samples(device: torch.device) -> None:
    samples = _samples(100)
    pinned = samples.pin_memory()
    assert pinned.inputs.is_pinned()
    assert pinned.labels.is_pinned()
    arrived = pinned.to(device)
    assert {arrived.inputs.device.type, arrived.labels.device.type} == {device.type}
    # Positions stay where Python reads them.
    assert arrived.positions.device.type == "cpu"
    _assert_same(arrived, samples)


def test_many_pinned_batches_that_are_let_go_of_at_once_arrive_unmixed(
    device: torch.device,
) -> None:
    samples = _samples(4000)
    # Each copy may still be under way when the memory that it comes from is free for the next.
    arrived = [
        samples.part(start, start + 100).pin_memory().to(device) for start in range(0, 4000, 100)
    ]
    _assert_same(joined(arrived), samples)


def test_a_batch_is_cut_and_padded_where_it_is(device: torch.device) -> None:
    samples = _samples(5)
    there = samples.to(device)
    _assert_same(there.part(1, 4), samples.part(1, 4))
    padded = there.padded(8)
    assert padded.inputs.device.type == device.type
    _assert_same(padded, samples.padded(8))
