"""How one cohort moves on its scale, in small worlds in which it is searched for alone."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.documents import Closeness
from tests.unit.workers.unlearning.worlds import (
    COHORTS,
    NO_FALLS,
    PLENTY,
    SEEDS,
    World,
    needed,
    standing,
    steps_of,
    tried,
)
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.searching.preference import best_passing, nearest
from workers.unlearning.searching.scale import FINEST, GENTLEST, RESOLUTION, STRONGEST
from workers.unlearning.searching.search import search
from workers.unlearning.searching.trials import Trial
from workers.unlearning.tuning import STEP_FACTOR, Setting, setting_at


@given(needed)
def test_what_passes_is_hardly_stronger_than_needed(need: float) -> None:
    chosen = best_passing(World((need,)).search())
    assert chosen is not None
    ((step,),) = tried([chosen])
    assert need <= step <= need + RESOLUTION


@given(needed)
def test_between_too_gentle_and_too_strong_a_narrow_pass_is_found(need: float) -> None:
    trials = World((need,), strange=(need + FINEST + 0.02,)).search()
    assert best_passing(trials) is not None
    assert len(trials) <= 16


@pytest.mark.parametrize(("need", "end"), [(30.0, STRONGEST), (-30.0, GENTLEST)])
def test_the_scale_ends(need: float, end: float) -> None:
    trials = World((need,)).search()
    assert tried(trials)[-1] == (end,)
    assert (best_passing(trials) is None) == (need > 0)


@given(st.integers(-1100, 1700).map(lambda n: n / 100), st.integers(1, 300).map(lambda n: n / 100))
def test_if_nothing_passes_it_ends_right_below_the_damage(ceiling: float, missing: float) -> None:
    world = World((ceiling + missing,), costs=(1.0,), bearable=STEP_FACTOR**ceiling * (1 - 1e-9))
    trials = world.search()
    assert best_passing(trials) is None
    best = nearest(trials)
    assert not best.judgement.damage
    ((step,),) = tried([best])
    assert ceiling - FINEST <= step < ceiling


# Where nothing tells how much would be enough ----------------------------------------------------


@pytest.mark.parametrize("at_base", [Closeness.ALIKE, Closeness.FAMILIAR])
def test_what_the_base_treats_like_unseen_data_is_dampened_at_its_seed(at_base: Closeness) -> None:
    steps = tried(World((-math.inf,)).search(at_base=at_base))
    assert steps[0] == (0.0,)
    assert (len(steps) == 1) == (at_base is Closeness.ALIKE)


@pytest.mark.parametrize("strange", [-0.5, -2.5, -6.0, -11.0])
def test_what_becomes_conspicuous_though_the_base_was_alike_steps_back(strange: float) -> None:
    trials = World((-math.inf,), strange=(strange,)).search(at_base=Closeness.ALIKE)
    assert trials[-1].judgement.passes
    assert not any(trial.judgement.passes for trial in trials[:-1])
    steps = [step for (step,) in tried(trials)]
    assert steps == sorted(steps, reverse=True)


def test_what_cannot_be_decided_stays_at_its_seed() -> None:
    def attempt(settings: Mapping[Cohort, Setting]) -> Trial:
        standings = dict.fromkeys(settings, standing(None))
        return Trial(
            dict(settings), Judgement(standings, NO_FALLS, False, [], [], [], ["who knows"]), 1.0
        )

    cohort = COHORTS[0]
    trials = search({cohort: 2.0}, {cohort: Closeness.UNDECIDABLE}, attempt, PLENTY)
    assert tried(trials) == [(0.0,)]


# Where it must not become gentler ----------------------------------------------------------------


def test_a_cohort_with_a_floor_is_never_dampened_less() -> None:
    world = World(needs=(-3.0,))
    (cohort,) = world.seeds
    floor = setting_at(SEEDS[cohort], 2.0)
    trials = search(
        world.seeds, {cohort: Closeness.FAMILIAR}, world.attempt, PLENTY, {cohort: floor}
    )
    assert trials
    for trial in trials:
        assert trial.settings[cohort].selection <= floor.selection


def test_what_is_familiar_and_must_not_become_gentler_is_dampened_further() -> None:
    world = World((1.0,))
    floors = {cohort: Setting(seed, 1.0) for cohort, seed in world.seeds.items()}
    at_base = dict.fromkeys(world.seeds, Closeness.ALIKE)
    taken = best_passing(search(world.seeds, at_base, world.attempt, PLENTY, floors))
    assert taken is not None
    assert steps_of(taken.settings)[0] >= 1.0
