"""A share of all training samples."""

import pytest

from benchmarks.experiments.fractions import at_random, by_class
from tests.unit.benchmarks.experiments.samples import RECIPE, data


@pytest.mark.parametrize("make", [at_random, by_class])
def test_a_smaller_share_is_part_of_a_larger_one(make: object) -> None:
    assert callable(make)
    smaller, larger = (make(data(), RECIPE, share, 0) for share in (0.05, 0.3))
    assert int(smaller.forgotten.sum()) == 10
    assert int(larger.forgotten.sum()) == 60
    assert not (smaller.forgotten & ~larger.forgotten).any()


def test_labels_go_whole_before_the_next_one_is_begun() -> None:
    task = by_class(data(), RECIPE, 0.25, 0)
    counts = sorted(task.forget.labels.bincount(minlength=RECIPE.classes).tolist())
    assert counts[-3:] == [10, 20, 20]
    assert not any(counts[:-3])


def test_only_labels_of_which_nothing_stays_count_as_forgotten() -> None:
    task = by_class(data(), RECIPE, 0.25, 0)
    gone = set(task.test.labels[task.of_forgotten_label].tolist())
    assert len(gone) == 2
    assert not gone & set(task.retain.labels.tolist())
    assert set(task.unseen.labels.tolist()) == set(task.forget.labels.tolist())


def test_another_seed_begins_with_another_label() -> None:
    first = {int(by_class(data(), RECIPE, 0.05, seed).forget.labels[0]) for seed in range(5)}
    assert len(first) > 1
