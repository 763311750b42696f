"""Marks of samples: of which labels it is said that the network may still give them away."""

from dataclasses import replace

import pytest

from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.observations import seen, together
from tests.unit.workers.unlearning.probes import COHORT, network, probe_of
from workers.judging.candidates import Tuned
from workers.judging.verdicts import marks_of
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.mixing import Mixture
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.searching.trials import Trial
from workers.unlearning.searching.workbench import Tried

# Label 0 has unseen samples to compare with, label 1 has none.
SCATTERED = Cohort((0, 1), 25, scattered=True)


def tuned(base: Observed, candidate: Observed, probe: Probe) -> Tuned:
    gate = Gate(base, probe, BOUNDS)
    trial = Trial(settings={}, judgement=gate.judge(candidate), change=0.0)
    mixture = Mixture(weights={}, by_cohort={}, by_parameter={})
    return Tuned(
        ladder=[Tried(trial, candidate, {})],
        rung=0,
        mixture=mixture,
        gate=gate,
        pinned=frozenset(),
        weakened=frozenset(),
    )


@pytest.mark.parametrize(
    ("at_base", "after", "marks"),
    [
        # Influence was seen and is gone, or is still there.
        (40, 20, {0: False}),
        (40, 40, {0: True}),
        # None was seen: what is marked stays so, for whatever reason it was.
        (20, 20, {}),
        (20, 40, {0: True}),
    ],
)
def test_a_mark_is_taken_back_only_where_influence_was_seen_and_is_gone(
    at_base: int, after: int, marks: dict[int, bool]
) -> None:
    base = network(at_base)
    assert dict(marks_of(tuned(base, network(after), probe_of(base)))) == marks


def test_what_can_be_told_of_some_labels_is_not_said_of_those_without_unseen_samples() -> None:
    also = seen([1] * 5, 0.0, first=50)
    base, candidate = (together(network(above), also) for above in (40, 20))
    probe = replace(probe_of(base), forgotten={SCATTERED: [*range(20), *range(50, 55)]})
    assert dict(marks_of(tuned(base, candidate, probe))) == {0: False, 1: True}
    assert dict(marks_of(tuned(candidate, candidate, probe))) == {1: True}


def test_cohorts_that_could_not_be_judged_keep_their_marks() -> None:
    base = network(40)
    found = tuned(base, network(20), probe_of(base))
    for kept in ("pinned", "weakened"):
        assert dict(marks_of(replace(found, **{kept: frozenset({COHORT})}))) == {}
