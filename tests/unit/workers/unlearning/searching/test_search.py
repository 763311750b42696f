"""The search in small worlds, in which it is known what is enough and what damages."""

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.documents import Closeness, Rule
from tests.unit.workers.unlearning.worlds import (
    COHORTS,
    PLENTY,
    SEEDS,
    Steps,
    World,
    needed,
    standing,
    steps_of,
    tried,
)
from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.searching.preference import best_passing, nearest
from workers.unlearning.searching.scale import FINEST, GENTLEST, RESOLUTION, STRONGEST
from workers.unlearning.searching.search import search
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import STEP_FACTOR, Setting, setting_at


@st.composite
def solvable_worlds(draw: st.DrawFn) -> World:
    """Some cohorts, and room for all of them to be alike half a step beyond what they need."""
    needs = tuple(draw(st.lists(needed, min_size=1, max_size=4)))
    strange = tuple(need + draw(st.sampled_from([0.51, 1.0, 4.0, math.inf])) for need in needs)
    costs = tuple(draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) for _ in needs)
    least = sum(c * STEP_FACTOR ** (n + RESOLUTION) for c, n in zip(costs, needs, strict=True))
    slack = draw(st.sampled_from([1.0, 1.1, 2.0, 100.0]))
    return World(needs, strange, costs, bearable=least * slack + 1e-9)


# What is found -----------------------------------------------------------------------------------


@given(solvable_worlds())
# One that was sent away from where it is enough by the damage of others, and has to come back.
@example(
    World((14.01, -3.0, 0.0, 7.02), (14.52, 1.0, 0.51, 8.02), (0.5, 0.0, 0.0, 3.0), 242.7846477279)
)
def test_a_candidate_that_passes_is_found_where_there_is_one(world: World) -> None:
    trials = world.search()
    passing = [trial for trial in trials if trial.judgement.passes]
    assert passing
    assert best_passing(trials) is min(passing, key=lambda trial: trial.change)
    # A policy allows for 16 unless it says otherwise.
    assert any(trial.judgement.passes for trial in trials[:16])
    assert len(trials) <= 24


@given(solvable_worlds(), st.integers(1, 12))
def test_no_candidate_is_repeated_and_no_limit_exceeded(world: World, most: int) -> None:
    trials = world.search(Limits(candidates=most, seconds=math.inf))
    assert 1 <= len(trials) <= most
    steps = tried(trials)
    assert len(set(steps)) == len(steps)
    assert trials[0].settings == {c: setting_at(seed, 0) for c, seed in world.seeds.items()}
    assert all(GENTLEST <= step <= STRONGEST for each in steps for step in each)
    assert steps == tried(world.search())[: len(steps)]


def test_cohorts_move_together_each_on_its_own_scale() -> None:
    trials = World((2.0, 0.5)).search()
    assert tried(trials)[:3] == [(0.0, 0.0), (1.0, 1.0), (3.0, 1.0)]
    first, second = COHORTS[:2]
    assert trials[2].settings == {
        first: setting_at(SEEDS[first], 3.0),
        second: setting_at(SEEDS[second], 1.0),
    }


def test_a_cohort_that_has_passed_waits_for_the_others_before_it_gets_gentler() -> None:
    world = World((2.0, -2.0))
    steps = tried(world.search())
    assert steps[:4] == [(0.0, 0.0), (1.0, 0.0), (3.0, 0.0), (2.0, -1.0)]
    assert tried(replace(world, spared=True).search()) == steps[:3]


def test_nothing_forgotten_is_one_candidate() -> None:
    assert tried(World(()).search()) == [()]


def test_a_floor_with_a_small_lambda_does_not_drag_the_selection_down() -> None:
    world = World(needs=(-3.0,), spared=True)
    (cohort,) = world.seeds
    floor = Setting(SEEDS[cohort], 0.1)
    at_base = {cohort: Closeness.FAMILIAR}
    trials = search(world.seeds, at_base, world.attempt, PLENTY, {cohort: floor})
    assert trials[0].settings[cohort].selection == pytest.approx(floor.selection)


# Cohorts influence one another -------------------------------------------------------------------


def test_a_cohort_that_slips_because_of_another_one_is_dampened_further() -> None:
    # The first passes at its seed, until the second has reached its step 3.
    world = World((-0.4, 2.8), influence=lambda steps: (2.0 if steps[1] > 2.5 else 0.0, 0.0))
    trials = world.search()
    # Familiar where it would have passed before the other one got there.
    slipped = [steps for steps in tried(trials) if steps[0] >= -0.4 and world.beyond(steps)[0] > 0]
    assert slipped
    chosen = best_passing(trials)
    assert chosen is not None
    first, second = steps_of(chosen.settings)
    assert 1.6 <= first <= 1.6 + 2 * RESOLUTION
    assert 2.8 <= second <= 2.8 + RESOLUTION


def test_a_cohort_that_passes_where_it_did_not_before_may_be_dampened_less() -> None:
    # The first is familiar at its seed while the second damages; once that is gentler, it is not.
    world = World(
        (0.5, -5.0),
        costs=(0.0, 1.0),
        bearable=0.8,
        influence=lambda steps: (-2.7 if steps[1] < -0.5 else 0.0, 0.0),
    )
    chosen = best_passing(world.search())
    assert chosen is not None
    first, second = steps_of(chosen.settings)
    assert -2.2 <= first <= -2.2 + RESOLUTION
    assert -5.0 <= second <= -5.0 + RESOLUTION


@given(
    st.lists(st.integers(-400, 500).map(lambda n: n / 100), min_size=2, max_size=4),
    st.sampled_from([0.3, 0.6, 0.8]),
)
def test_cohorts_that_undo_one_another_all_pass_in_the_end(needs: list[float], part: float) -> None:
    def influence(steps: Steps) -> Steps:
        above = [max(0.0, min(4.0, r - n)) for r, n in zip(steps, needs, strict=True)]
        return tuple(part * max(above[:i] + above[i + 1 :]) for i in range(len(above)))

    assert best_passing(World(tuple(needs), influence=influence).search()) is not None


def test_cohorts_that_show_something_only_together_are_all_dampened_more() -> None:
    world = World(needs=(-20.0,) * 3, together=4.0)
    trials = world.search()
    best = best_passing(trials)
    assert best is not None
    assert len(set(steps_of(best.settings))) == 1
    # Half a step is as fine as the search looks, and three of them go at once.
    assert 4.0 <= sum(steps_of(best.settings)) <= 4.0 + 3 * RESOLUTION
    assert not any(trial.judgement.passes for trial in trials if sum(steps_of(trial.settings)) < 4)


def test_of_a_label_that_is_gone_it_is_aimed_at_leaving_nothing_though_a_little_is_accepted() -> (
    None
):
    world = World((0.0,), spared=True)

    def attempt(settings: Mapping[Cohort, Setting]) -> Trial:
        trial = world.attempt(settings)
        left = 0.0 if steps_of(settings)[0] > 2.5 else 0.01
        standings = {
            cohort: replace(each, rule=Rule.CHANCE, recognised=Estimate(left, 1000, left, left))
            for cohort, each in trial.judgement.standings.items()
        }
        return replace(trial, judgement=replace(trial.judgement, standings=standings))

    at_base = dict.fromkeys(world.seeds, Closeness.FAMILIAR)
    trials = search(world.seeds, at_base, attempt, PLENTY)
    assert all(trial.judgement.passes for trial in trials)
    assert tried(trials) == [(0.0,), (1.0,), (3.0,)]


# Damage ------------------------------------------------------------------------------------------


@given(solvable_worlds(), st.floats(0.01, 0.9))
def test_if_nothing_passes_what_comes_nearest_does_no_damage(world: World, part: float) -> None:
    if not any(world.costs):
        return
    least = sum(c * STEP_FACTOR**n for c, n in zip(world.costs, world.needs, strict=True))
    scarce = replace(world, bearable=least * part)
    trials = scarce.search()
    assert best_passing(trials) is None
    harmless = [trial for trial in trials if not trial.judgement.damage]
    if scarce.damages((GENTLEST,) * len(world.needs)):
        return
    assert harmless
    assert nearest(trials) in harmless
    assert nearest(trials).judgement.distance == min(t.judgement.distance for t in harmless)


def test_where_everybody_has_settled_and_it_damages_nobody_stays() -> None:
    # The second cannot have what it needs; at -0.5 it damages, at -1 it does not.
    world = World((-4.0, 0.5), costs=(0.0, 2.0), bearable=1.5)
    trials = world.search()
    at = [steps[1] for steps in tried(trials)]
    assert at.count(-0.5) == 1
    assert not trials[-1].judgement.damage


def test_while_there_is_damage_nobody_gets_stronger() -> None:
    world = World((3.0, -5.0), costs=(1.0, 1.0), bearable=STEP_FACTOR**3.5 + STEP_FACTOR**-4.5)
    trials = world.search()
    for before, after in itertools.pairwise(trials):
        if before.judgement.damage:
            pairs = zip(steps_of(before.settings), steps_of(after.settings), strict=True)
            for distance, (was, now) in zip(
                world.beyond(steps_of(before.settings)), pairs, strict=True
            ):
                assert now <= was or not distance > 0
    assert best_passing(trials) is not None


def test_what_is_dampened_as_a_precaution_gives_way_first() -> None:
    # The first has something to forget and costs nothing; the second costs too much at its seed.
    world = World(needs=(0.7, -math.inf), costs=(0.0, 1.0), bearable=0.9)
    first, second = world.seeds
    at_base = {first: Closeness.FAMILIAR, second: Closeness.ALIKE}
    taken = best_passing(world.search(at_base=at_base))
    assert taken is not None
    assert steps_of(taken.settings)[0] == pytest.approx(1.0)


# Cohorts of which nothing tells how much would be enough -----------------------------------------


@pytest.mark.parametrize("familiar", [-0.5, -2.5, -6.0, -11.0])
def test_what_becomes_familiar_though_nobody_has_anything_to_forget_steps_back(
    familiar: float,
) -> None:
    world = World((-math.inf,) * 2, strange=(familiar,) * 2)

    def attempt(settings: Mapping[Cohort, Setting]) -> Trial:
        trial = world.attempt(settings)
        standings = {
            cohort: standing(-(each.distance or 0.0), accepted=each.accepted)
            for cohort, each in trial.judgement.standings.items()
        }
        return replace(trial, judgement=replace(trial.judgement, standings=standings))

    trials = search(world.seeds, dict.fromkeys(world.seeds, Closeness.ALIKE), attempt, PLENTY)
    assert trials[-1].judgement.passes
    assert not any(trial.judgement.passes for trial in trials[:-1])
    steps = [steps[0] for steps in tried(trials)]
    assert steps == sorted(steps, reverse=True)


def test_it_steps_back_by_itself_while_others_search() -> None:
    world = World((3.0, -math.inf), strange=(math.inf, -0.5))
    known = dict(zip(COHORTS, (Closeness.FAMILIAR, Closeness.ALIKE), strict=False))
    chosen = best_passing(world.search(at_base=known))
    assert chosen is not None
    assert steps_of(chosen.settings) == (3.0, -1.0)


def test_what_slips_though_the_base_was_alike_is_dampened_further() -> None:
    world = World((2.0, 1.7))
    known = dict(zip(COHORTS, (Closeness.FAMILIAR, Closeness.ALIKE), strict=False))
    chosen = best_passing(world.search(at_base=known))
    assert chosen is not None
    assert steps_of(chosen.settings) == (2.0, 2.0)


def test_of_what_the_base_shows_nothing_even_together_every_seed_is_kept() -> None:
    world = World(needs=(-20.0,) * 3, together=-20.0)
    assert tried(world.search(at_base=Closeness.ALIKE)) == [(0.0, 0.0, 0.0)]


# An end before all is known ----------------------------------------------------------------------


@given(solvable_worlds())
def test_a_candidate_that_leaves_nothing_to_gain_ends_the_search(world: World) -> None:
    trials = replace(world, spared=True).search()
    assert trials[-1].judgement.is_ideal
    assert not any(trial.judgement.is_ideal for trial in trials[:-1])
    # It is the beginning of what would have been tried else.
    assert tried(trials) == tried(world.search())[: len(trials)]


@pytest.mark.parametrize("spared", [False, True])
def test_what_is_accepted_beside_its_target_is_no_end_while_something_lies_nearer(
    spared: bool,
) -> None:
    world = World((1.9,), strange=(2.3,), spared=spared, accepted=True)
    trials = world.search()
    first = next(trial for trial in trials if trial.judgement.passes)
    assert steps_of(first.settings) == (3.0,)
    chosen = best_passing(trials)
    assert chosen is not None
    assert steps_of(chosen.settings) == (2.0,)
    # Where nothing does, it is what is taken.
    chosen = best_passing(World((1.9,), strange=(1.9,), spared=spared, accepted=True).search())
    assert chosen is not None
    assert 1.9 <= steps_of(chosen.settings)[0] <= 1.9 + FINEST


# Time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 1), (0.05, 6)])
def test_no_candidate_is_tried_after_the_time_is_up(seconds: float, most: int) -> None:
    world = World((10.0, -9.0))

    def slowly(settings: Mapping[Cohort, Setting]) -> Trial:
        time.sleep(0.01)
        return world.attempt(settings)

    known = dict.fromkeys(world.seeds, Closeness.FAMILIAR)
    trials = search(world.seeds, known, slowly, Limits(candidates=64, seconds=seconds))
    assert 1 <= len(trials) <= most
    assert len(world.search()) > most
