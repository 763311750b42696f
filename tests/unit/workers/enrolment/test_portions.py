"""What is summed by itself."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workers.enrolment.portions import LEAST, Portion, labels_apart, portions_of

NETWORK = nn.Linear(3, 2)
# Bytes of one set of float64 sums of it.
SET = 8 * (3 * 2 + 2)

# Of each label, how many samples there are; their order is drawn, too.
trainings = st.lists(st.integers(0, 3), min_size=1, max_size=6).flatmap(
    lambda sizes: st.permutations(
        [label for label, size in enumerate(sizes) for _ in range(size * LEAST // 2)]
    )
)


def portioned(training: list[tuple[int, int]], most_bytes: int) -> list[Portion]:
    """As an enrolment does it."""
    return portions_of(training, labels_apart(training, NETWORK, most_bytes))


def labelled(labels: list[int]) -> list[tuple[int, int]]:
    """Training samples at positions that are not their places in the list."""
    return [(3 * place + 1, label) for place, label in enumerate(labels)]


@given(trainings, st.integers(0, 7))
def test_every_sample_is_in_one_portion_and_each_keeps_their_order(
    labels: list[int], room: int
) -> None:
    training = labelled(labels)
    portions = portioned(training, room * SET)
    found = [sample for portion in portions for sample in portion.samples]
    assert sorted(found) == training
    for portion in portions:
        assert portion.samples
        assert portion.samples == sorted(portion.samples)


@given(trainings, st.integers(0, 7))
def test_labels_of_their_own_are_large_the_largest_and_no_more_than_there_is_room_for(
    labels: list[int], room: int
) -> None:
    counts = Counter(labels)
    portions = portioned(labelled(labels), room * SET + SET - 1)
    own = [portion.label for portion in portions if portion.label is not None]
    assert own == sorted(own)
    large = {label for label, count in counts.items() if count >= LEAST}
    assert len(own) == min(room, len(large))
    assert set(own) <= large
    least = min((counts[label] for label in own), default=0)
    assert all(counts[label] <= least or label in own for label in large) or not own
    for portion in portions:
        of_portion = {label for _, label in portion.samples}
        expected = {portion.label} if portion.label is not None else set(counts) - set(own)
        assert of_portion == expected


@pytest.mark.parametrize(("count", "own"), [(LEAST - 1, False), (LEAST, True)])
def test_a_label_has_its_own_from_so_many_samples_on(count: int, own: bool) -> None:
    portions = portioned(labelled([5] * count), 10 * SET)
    assert [portion.label for portion in portions] == [5 if own else None]


def test_of_equally_large_labels_the_first_get_their_own() -> None:
    portions = portioned(labelled([2, 1, 0] * LEAST), 2 * SET)
    assert [portion.label for portion in portions] == [0, 1, None]


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (6, [5])])
def test_shards_are_the_samples_in_order(size: int, lengths: list[int]) -> None:
    portion = Portion(7, labelled([7] * 5))
    shards = portion.shards(size)
    assert [len(shard) for shard in shards] == lengths
    assert [sample for shard in shards for sample in shard] == portion.samples


def test_a_digest_is_of_positions_and_their_order() -> None:
    samples = labelled([1, 1, 1])
    others = [Portion(1, samples[:2]), Portion(1, samples[::-1]), Portion(1, samples)]
    assert len({portion.digest() for portion in others}) == 3
    assert Portion(None, samples).digest() == Portion(1, list(samples)).digest()
