"""Which samples a network is tried out on, and when it does no better than guessing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import NetworkMismatch
from models.records import Split
from workers.enrolment.records import SampleRows
from workers.enrolment.tryout import FEWEST, balanced, require_better_than_guessing
from workers.unlearning.intervals import share


def rows_of(labels: list[int], splits: list[Split]) -> SampleRows:
    """Samples in a random order of ranks."""
    ranks = np.random.default_rng(0).permutation(len(labels)).tolist()
    return SampleRows([str(position) for position in range(len(labels))], labels, splits, ranks)


samples = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(list(Split))), max_size=60)


@given(samples, st.integers(1, 40))
def test_equally_many_of_each_label_are_drawn_those_of_the_lowest_ranks(
    given_samples: list[tuple[int, Split]], size: int
) -> None:
    rows = rows_of([label for label, _ in given_samples], [split for _, split in given_samples])
    of_split = [
        (rank, position, label)
        for position, (label, split, rank) in enumerate(
            zip(rows.labels, rows.splits, rows.probe_ranks, strict=True)
        )
        if split is Split.TRAIN
    ]
    labels = Counter(label for _, _, label in of_split)
    quota = max(1, size // max(1, len(labels)))
    expected = [
        (rank, position, label)
        for rank, position, label in sorted(of_split)
        if sum(other < rank for other, _, of in of_split if of == label) < quota
    ][:size]
    drawn = balanced(rows, Split.TRAIN, size)
    assert drawn == sorted((position, label) for _, position, label in expected)


def test_of_more_labels_than_samples_it_is_chance_which_are_drawn() -> None:
    rows = rows_of(list(range(1000)), [Split.TRAIN] * 1000)
    drawn = [label for _, label in balanced(rows, Split.TRAIN, 100)]
    assert len(drawn) == 100
    assert min(drawn) < 200
    assert max(drawn) > 800


@pytest.mark.parametrize(
    ("right", "count", "labels", "guesses"),
    [
        (50, 500, 10, True),
        (62, 500, 10, True),
        (70, 500, 10, False),
        (500, 500, 10, False),
        (2, 500, 500, True),
        (6, 500, 500, False),
        # Of too few nothing can be told, and of a single label everybody is right.
        (0, FEWEST - 1, 10, False),
        (0, FEWEST, 10, True),
        (500, 500, 1, False),
    ],
)
def test_a_network_guesses_unless_it_is_significantly_better(
    right: int, count: int, labels: int, guesses: bool
) -> None:
    found = share(right, count)
    assert found is not None
    if not guesses:
        require_better_than_guessing(found, labels=labels)
        return
    with pytest.raises(NetworkMismatch, match=f"classifies {right} of {count} training images"):
        require_better_than_guessing(found, labels=labels)
