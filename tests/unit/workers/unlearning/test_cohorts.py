"""Which samples are dampened together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.unlearning.cohorts import Cohort, form_cohorts, gone_labels

TRAINED = {0: 100, 1: 50, 2: 10, 3: 7}


def test_a_label_stands_alone_from_a_tenth_on() -> None:
    assert form_cohorts({0: 10}, TRAINED) == [Cohort((0,), 10, scattered=False)]
    assert form_cohorts({0: 9}, TRAINED) == [Cohort((0,), 9, scattered=True)]


def test_labels_below_a_tenth_share_one_scattered_cohort() -> None:
    assert form_cohorts({1: 4, 0: 3, 2: 10}, TRAINED) == [
        Cohort((2,), 10, scattered=False),
        Cohort((0, 1), 7, scattered=True),
    ]


def test_nothing_forgotten_is_no_cohort() -> None:
    assert form_cohorts({0: 0}, TRAINED) == []


@pytest.mark.parametrize(
    ("trained", "left", "gone"),
    [
        (200, 0, True),
        (1000, 10, True),
        (1000, 11, False),
        (60, 3, True),
        (60, 4, False),
        # A person of ten pictures, of whom one stays, may still be known by it.
        (10, 1, False),
        (10, 0, True),
    ],
)
def test_a_label_is_gone_once_next_to_nothing_of_it_stays(
    trained: int, left: int, gone: bool
) -> None:
    found = gone_labels({0: trained - left, 1: 1}, {0: trained, 1: 100})
    assert found == ({0} if gone else set())


@given(st.permutations(list(TRAINED)), st.data())
def test_cohorts_depend_on_the_counts_alone_and_hold_every_sample_once(
    order: list[int], data: st.DataObject
) -> None:
    forgotten = {label: data.draw(st.integers(0, TRAINED[label])) for label in TRAINED}
    shuffled = {label: forgotten[label] for label in order}
    cohorts = form_cohorts(shuffled, TRAINED)
    assert cohorts == form_cohorts(forgotten, TRAINED)
    assert sum(cohort.count for cohort in cohorts) == sum(forgotten.values())
    labels = [label for cohort in cohorts for label in cohort.labels]
    assert sorted(labels) == [label for label, count in forgotten.items() if count]


def test_cohorts_are_named_for_reports() -> None:
    cohorts = form_cohorts({0: 50, 1: 1}, TRAINED)
    assert [cohort.name for cohort in cohorts] == ["label 0", "scattered"]
