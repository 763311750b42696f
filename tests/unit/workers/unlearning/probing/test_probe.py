"""The parts of a probe: which samples a candidate is looked at through first."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.probe import LEAST, Parts, Probe

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


def parts_of(probe: Probe) -> Parts:
    assert probe.parts is not None
    return probe.parts


@given(st.tuples(*[st.integers(0, 2 * LEAST)] * 4))
def test_the_parts_are_all_of_the_probe_and_no_sample_is_in_two(
    sizes: tuple[int, int, int, int],
) -> None:
    probe = probe_of(*sizes)
    everything = {*probe.forgotten[WHOLE], *probe.unseen, *probe.retained, *probe.holdout}
    assert probe.positions == everything
    parts = probe.parts
    assert (parts is None) == (len(everything) < LEAST)
    if parts is not None:
        assert set().union(*parts) == everything
        assert sum(len(part) for part in parts) == len(everything)
        assert parts.forgotten == set(probe.forgotten[WHOLE])


def test_two_quarters_of_every_set_that_decides_come_first() -> None:
    probe = probe_of(forgotten=1000, unseen=400, retained=1000, holdout=2000)
    first, second, rest, _ = parts_of(probe)
    for group in (probe.unseen, probe.retained, probe.holdout):
        quarter = len(group) // 4
        assert len(first.intersection(group)) >= quarter
        assert len((first | second).intersection(group)) >= 2 * quarter
        # Of what is in two sets a little more.
        assert len(rest.intersection(group)) >= len(group) // 4


@pytest.mark.parametrize("period", [2, 4, 10])
def test_a_quarter_is_of_all_kinds_in_whatever_order_these_take_turns(period: int) -> None:
    probe = probe_of(forgotten=1000, unseen=0, retained=1000, holdout=1000)
    first = parts_of(probe).quarters[0].intersection(probe.retained)
    for kind in range(period):
        of_kind = sum(position % period == kind for position in first)
        assert of_kind == pytest.approx(len(first) / period, rel=0.6)


def test_the_parts_are_always_the_same() -> None:
    probe = probe_of(1000, 400, 1000, 2000)
    assert replace(probe).parts == probe.parts


def test_a_probe_with_samples_of_labels_that_stay_has_no_parts() -> None:
    probe = probe_of(1000, 400, 1000, 2000)
    partly = replace(probe, forgotten={**probe.forgotten, PART: range(10_000, 10_500)})
    assert partly.parts is None
    both = parts_of(replace(partly, gone=frozenset({0, 1})))
    assert both.forgotten == {*range(1000), *range(10_000, 10_500)}
