"""Batches: parts of them, several as one, and one made longer."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.unlearning.batches import Batch, among, joined

# Sizes of batches, one at least.
batch_sizes = st.lists(st.integers(0, 5), min_size=1, max_size=5)


def _samples(count: int) -> Batch:
    """Samples that all differ, at positions that are not their rows."""
    inputs = torch.arange(count * 2).view(count, 2).float()
    return Batch(inputs, torch.arange(count) % 3, torch.arange(count) * 7 + 100)


def _assert_same(found: Batch, expected: Batch) -> None:
    assert torch.equal(found.inputs, expected.inputs)
    assert torch.equal(found.labels, expected.labels)
    assert torch.equal(found.positions, expected.positions)


def test_a_whole_dataset_has_its_samples_at_their_own_places() -> None:
    batch = Batch.of(torch.rand(3, 2), torch.tensor([2, 0, 1]))
    assert len(batch) == 3
    assert batch.positions.tolist() == [0, 1, 2]
    assert len(Batch.of(torch.rand(0, 2), torch.tensor([], dtype=torch.int64))) == 0


def test_rows_are_picked_by_index_or_by_mask() -> None:
    batch = _samples(4)
    by_index = batch.rows(torch.tensor([1, 3]))
    assert by_index.positions.tolist() == [107, 121]
    _assert_same(batch.rows(torch.tensor([False, True, False, True])), by_index)


@given(sizes=batch_sizes, wanted=st.sets(st.integers(0, 30)))
def test_among_batches_samples_are_found_in_order_and_no_batch_is_empty(
    sizes: list[int], wanted: set[int]
) -> None:
    whole = _samples(sum(sizes))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    batches = [whole.part(first, first + size) for first, size in zip(starts, sizes, strict=True)]
    found = list(among(batches, {7 * row + 100 for row in wanted}))
    assert all(len(batch) for batch in found)
    rows = [row for row in sorted(wanted) if row < len(whole)]
    expected = whole.rows(torch.tensor(rows, dtype=torch.int64))
    _assert_same(joined([whole.part(0, 0), *found]), expected)


@given(count=st.integers(0, 6), start=st.integers(0, 8), length=st.integers(0, 8))
def test_a_part_holds_the_samples_from_its_start_to_before_its_stop(
    count: int, start: int, length: int
) -> None:
    part = _samples(count).part(start, start + length)
    rows = range(count)[start : start + length]
    assert len(part) == len(rows)
    assert part.positions.tolist() == [row * 7 + 100 for row in rows]
    assert part.labels.tolist() == [row % 3 for row in rows]
    assert part.inputs[:, 0].tolist() == [row * 2 for row in rows]


@given(sizes=batch_sizes)
def test_parts_joined_are_the_whole_again_in_order(sizes: list[int]) -> None:
    whole = _samples(sum(sizes))
    parts, start = [], 0
    for size in sizes:
        parts.append(whole.part(start, start + size))
        start += size
    _assert_same(joined(parts), whole)


def test_one_batch_joined_is_itself() -> None:
    batch = _samples(3)
    assert joined([batch]) is batch


@given(count=st.integers(1, 6), size=st.integers(0, 9))
def test_a_padded_batch_repeats_its_last_sample_and_never_gets_shorter(
    count: int, size: int
) -> None:
    batch = _samples(count)
    padded = batch.padded(size)
    assert len(padded) == max(count, size)
    _assert_same(padded.part(0, count), batch)
    for row in range(count, len(padded)):
        _assert_same(padded.part(row, row + 1), batch.part(count - 1, count))
