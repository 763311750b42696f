"""Precautions that give way, in small worlds where it is known what is enough and what damages."""

import math
from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.documents import Closeness
from tests.unit.workers.unlearning.worlds import COHORTS, PLENTY, SEEDS, World, steps_of, tried
from workers.unlearning.cohorts import Cohort
from workers.unlearning.searching.preference import best_passing
from workers.unlearning.searching.relenting import STEPS, relent
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import STEP_FACTOR, setting_at

INFLUENCED, PRECAUTION = COHORTS[:2]
AT_BASE = {INFLUENCED: Closeness.FAMILIAR, PRECAUTION: Closeness.ALIKE}
# The first has to be dampened by almost four steps, which leaves no room for the second's seed.
CROWDED = World((3.94, -12.0), costs=(0.5, 1.0), bearable=0.5 * STEP_FACTOR**3.9 + 1.0)


def relented(
    world: World, precautions: Collection[Cohort] = (PRECAUTION,), limits: Limits = PLENTY
) -> list[Trial]:
    return relent(world.search(limits, AT_BASE), precautions, world.attempt, limits)


def test_a_precaution_gives_way_to_a_candidate_that_forgets() -> None:
    assert best_passing(CROWDED.search(PLENTY, AT_BASE)) is None
    found = best_passing(relented(CROWDED))
    assert found is not None
    assert steps_of(found.settings) == (4.0, -1.0)


def test_it_gives_way_by_more_and_more_and_not_for_ever() -> None:
    world = replace(CROWDED, bearable=0.5 * STEP_FACTOR**3.9 + 0.1)
    trials = world.search(PLENTY, AT_BASE)
    more = tried(relent(trials, [PRECAUTION], world.attempt, PLENTY))[len(trials) :]
    first = min(
        (trial for trial in trials if trial.judgement.damage and not trial.judgement.shortfalls),
        key=lambda trial: trial.change,
    )
    steps = steps_of(first.settings)
    assert more == [(steps[0], pytest.approx(steps[1] - less)) for less in STEPS[: len(more)]]
    assert len(more) <= len(STEPS)


def test_without_precautions_and_where_something_passes_nothing_more_is_tried() -> None:
    trials = CROWDED.search(PLENTY, AT_BASE)
    assert relent(trials, [], CROWDED.attempt, PLENTY) == trials
    roomy = replace(CROWDED, bearable=math.inf)
    trials = roomy.search(PLENTY, AT_BASE)
    assert relent(trials, [PRECAUTION], roomy.attempt, PLENTY) == trials
    # Nor is it where others would pass, if they did not cost too much.
    passing = best_passing(trials)
    assert passing is not None
    trials = [*CROWDED.search(PLENTY, AT_BASE), passing]
    assert relent(trials, [PRECAUTION], CROWDED.attempt, PLENTY) == trials


def test_what_does_not_forget_is_not_helped_by_it() -> None:
    # Never enough: there is no candidate of which only damage speaks against it.
    world = replace(CROWDED, needs=(30.0, -12.0))
    trials = world.search(PLENTY, AT_BASE)
    assert relent(trials, [PRECAUTION], world.attempt, PLENTY) == trials


def test_it_keeps_to_the_limits_of_the_search() -> None:
    trials = CROWDED.search(PLENTY, AT_BASE)
    limits = Limits(candidates=len(trials), seconds=math.inf)
    assert relent(trials, [PRECAUTION], CROWDED.attempt, limits) == trials


def test_where_it_must_not_be_dampened_less_it_ends_at_once() -> None:
    floor = setting_at(SEEDS[PRECAUTION], 0.0)
    trials = CROWDED.search(PLENTY, AT_BASE)
    found = relent(
        trials,
        [PRECAUTION],
        lambda settings: CROWDED.attempt({**settings, PRECAUTION: floor}),
        PLENTY,
    )
    assert len(found) == len(trials) + 1


@given(st.integers(0, 800).map(lambda n: n / 100), st.integers(1, 100).map(lambda n: n / 100))
def test_wherever_a_step_of_the_search_would_pass_without_the_precaution_one_is_found(
    needs: float, share: float
) -> None:
    # What the influenced cohort costs at the step that is enough for it is just bearable.
    alone = 0.5 * STEP_FACTOR ** (math.floor(needs) + 1)
    world = World((needs, -12.0), costs=(0.5, share), bearable=alone + share * STEP_FACTOR**-8)
    assert best_passing(relented(world)) is not None
