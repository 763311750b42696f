"""The parts of a probe: which samples a candidate is looked at through first."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.probe import LEAST, Probe

WHOLE, PART = Cohort((0,), 500, scattered=False), Cohort((1,), 500, scattered=False)


def probe_of(forgotten: int, unseen: int, retained: int, holdout: int) -> Probe:
    """Of label 0, which is gone; the unseen samples are in the holdout."""
    first_unseen = forgotten + retained
    return Probe(
        forgotten={WHOLE: range(forgotten)},
        unseen=range(first_unseen, first_unseen + unseen),
        retained=range(forgotten, first_unseen),
        holdout=range(first_unseen, first_unseen + max(unseen, holdout)),
        gone=frozenset({0}),
        num_classes=10,
    )


@given(st.tuples(*[st.integers(0, 2 * LEAST)] * 4))
def test_the_parts_are_all_of_the_probe_and_no_sample_is_in_two(
    sizes: tuple[int, int, int, int],
) -> None:
    probe = probe_of(*sizes)
    everything = {*probe.forgotten[WHOLE], *probe.unseen, *probe.retained, *probe.holdout}
    assert set().union(*probe.parts) == everything
    assert sum(len(part) for part in probe.parts) == len(everything)


def test_two_quarters_of_every_set_come_first() -> None:
    probe = probe_of(forgotten=1000, unseen=400, retained=1000, holdout=2000)
    first, second, rest = probe.parts
    for group in (probe.forgotten[WHOLE], probe.unseen, probe.retained, probe.holdout):
        quarter = len(group) // 4
        assert len(first.intersection(group)) >= quarter
        assert len((first | second).intersection(group)) >= 2 * quarter
    # Of what is in two sets a little more.
    assert len(first) <= len(probe.parts[0] | rest) // 2


@pytest.mark.parametrize("period", [2, 4, 10])
def test_a_quarter_is_of_all_kinds_in_whatever_order_these_take_turns(period: int) -> None:
    probe = probe_of(forgotten=1000, unseen=0, retained=1000, holdout=1000)
    first = probe.parts[0].intersection(probe.retained)
    for kind in range(period):
        of_kind = sum(position % period == kind for position in first)
        assert of_kind == pytest.approx(len(first) / period, rel=0.6)


def test_the_parts_are_always_the_same() -> None:
    probe = probe_of(1000, 400, 1000, 2000)
    assert replace(probe).parts == probe.parts


def test_a_small_probe_is_one_part() -> None:
    assert len(probe_of(LEAST // 2, 0, LEAST // 2, 0).parts) == 3
    assert len(probe_of(LEAST // 2, 0, LEAST // 2 - 1, 0).parts) == 1


def test_a_probe_with_samples_of_labels_that_stay_is_one_part() -> None:
    probe = probe_of(1000, 400, 1000, 2000)
    partly = replace(probe, forgotten={**probe.forgotten, PART: range(10_000, 10_500)})
    assert len(partly.parts) == 1
    assert len(replace(partly, gone=frozenset({0, 1})).parts) == 3
