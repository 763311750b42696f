"""Which samples are dampened together."""

from hypothesis import given
from hypothesis import strategies as st

from workers.unlearning.cohorts import Cohort, form_cohorts

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
