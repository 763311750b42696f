"""The search in small worlds, in which it is known what is enough and what damages."""

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workers.unlearning.worlds import (
    COHORTS,
    NO_FALLS,
    PLENTY,
    SEEDS,
    Rungs,
    World,
    rungs_of,
    standing,
    tried,
)
from workers.unlearning.cohorts import Cohort
from workers.unlearning.damage import Fall, Falls
from workers.unlearning.intervals import Estimate
from workers.unlearning.judgement import Judgement
from workers.unlearning.search import (
    FINEST,
    GENTLEST,
    RESOLUTION,
    STRONGEST,
    Limits,
    Trial,
    best_passing,
    nearest,
    search,
)
from workers.unlearning.tuning import RUNG, Setting, setting_at
from workers.unlearning.verification import Closeness, Rule

# Steps of a hundredth: what is known only to rounding is not what is tested here.
needed = st.integers(-1100, 1900).map(lambda n: n / 100)


@st.composite
def solvable_worlds(draw: st.DrawFn) -> World:
    """Some cohorts, and room for all of them to be alike half a step beyond what they need."""
    needs = tuple(draw(st.lists(needed, min_size=1, max_size=4)))
    strange = tuple(need + draw(st.sampled_from([0.51, 1.0, 4.0, math.inf])) for need in needs)
    costs = tuple(draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) for _ in needs)
    least = sum(c * RUNG ** (n + RESOLUTION) for c, n in zip(costs, needs, strict=True))
    slack = draw(st.sampled_from([1.0, 1.1, 2.0, 100.0]))
    return World(needs, strange, costs, bearable=least * slack + 1e-9)


# What is found ---------------------------------------------------------------------------------


@given(solvable_worlds())
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
    rungs = tried(trials)
    assert len(set(rungs)) == len(rungs)
    assert trials[0].settings == {c: setting_at(seed, 0) for c, seed in world.seeds.items()}
    assert all(GENTLEST <= rung <= STRONGEST for each in rungs for rung in each)
    assert rungs == tried(world.search())[: len(rungs)]


@given(needed)
def test_what_passes_is_hardly_stronger_than_needed(need: float) -> None:
    chosen = best_passing(World((need,)).search())
    assert chosen is not None
    ((rung,),) = tried([chosen])
    assert need <= rung <= need + RESOLUTION


@given(needed)
def test_between_too_gentle_and_too_strong_a_narrow_pass_is_found(need: float) -> None:
    trials = World((need,), strange=(need + FINEST + 0.02,)).search()
    assert best_passing(trials) is not None
    assert len(trials) <= 16


def test_cohorts_move_together_each_by_its_own_ladder() -> None:
    trials = World((2.0, 0.5)).search()
    assert tried(trials)[:3] == [(0.0, 0.0), (1.0, 1.0), (3.0, 1.0)]
    first, second = COHORTS[:2]
    assert trials[2].settings == {
        first: setting_at(SEEDS[first], 3.0),
        second: setting_at(SEEDS[second], 1.0),
    }


def test_a_cohort_that_has_passed_waits_for_the_others_before_it_gets_gentler() -> None:
    world = World((2.0, -2.0))
    rungs = tried(world.search())
    assert rungs[:4] == [(0.0, 0.0), (1.0, 0.0), (3.0, 0.0), (2.0, -1.0)]
    assert tried(replace(world, spared=True).search()) == rungs[:3]


def test_nothing_forgotten_is_one_candidate() -> None:
    assert tried(World(()).search()) == [()]


@pytest.mark.parametrize(("need", "end"), [(30.0, STRONGEST), (-30.0, GENTLEST)])
def test_the_ladder_ends(need: float, end: float) -> None:
    trials = World((need,)).search()
    assert tried(trials)[-1] == (end,)
    assert (best_passing(trials) is None) == (need > 0)


# Cohorts influence one another -----------------------------------------------------------------


def test_a_cohort_that_slips_because_of_another_one_is_dampened_further() -> None:
    # The first passes at its seed, until the second has reached its rung 3.
    world = World((-0.4, 2.8), influence=lambda rungs: (2.0 if rungs[1] > 2.5 else 0.0, 0.0))
    trials = world.search()
    # Familiar where it would have passed before the other one got there.
    slipped = [rungs for rungs in tried(trials) if rungs[0] >= -0.4 and world.beyond(rungs)[0] > 0]
    assert slipped
    chosen = best_passing(trials)
    assert chosen is not None
    first, second = rungs_of(chosen.settings)
    assert 1.6 <= first <= 1.6 + 2 * RESOLUTION
    assert 2.8 <= second <= 2.8 + RESOLUTION


def test_a_cohort_that_passes_where_it_did_not_before_may_be_dampened_less() -> None:
    # The first is familiar at its seed while the second damages; once that is gentler, it is not.
    world = World(
        (0.5, -5.0),
        costs=(0.0, 1.0),
        bearable=0.8,
        influence=lambda rungs: (-2.7 if rungs[1] < -0.5 else 0.0, 0.0),
    )
    chosen = best_passing(world.search())
    assert chosen is not None
    first, second = rungs_of(chosen.settings)
    assert -2.2 <= first <= -2.2 + RESOLUTION
    assert -5.0 <= second <= -5.0 + RESOLUTION


@given(
    st.lists(st.integers(-400, 500).map(lambda n: n / 100), min_size=2, max_size=4),
    st.sampled_from([0.3, 0.6, 0.8]),
)
def test_cohorts_that_undo_one_another_all_pass_in_the_end(needs: list[float], part: float) -> None:
    def influence(rungs: Rungs) -> Rungs:
        above = [max(0.0, min(4.0, r - n)) for r, n in zip(rungs, needs, strict=True)]
        return tuple(part * max(above[:i] + above[i + 1 :]) for i in range(len(above)))

    assert best_passing(World(tuple(needs), influence=influence).search()) is not None


# Damage ----------------------------------------------------------------------------------------


@given(st.integers(-1100, 1700).map(lambda n: n / 100), st.integers(1, 300).map(lambda n: n / 100))
def test_if_nothing_passes_it_ends_right_below_the_damage(ceiling: float, missing: float) -> None:
    world = World((ceiling + missing,), costs=(1.0,), bearable=RUNG**ceiling * (1 - 1e-9))
    trials = world.search()
    assert best_passing(trials) is None
    best = nearest(trials)
    assert not best.judgement.damage
    ((rung,),) = tried([best])
    assert ceiling - FINEST <= rung < ceiling


@given(solvable_worlds(), st.floats(0.01, 0.9))
def test_if_nothing_passes_what_comes_nearest_does_no_damage(world: World, part: float) -> None:
    if not any(world.costs):
        return
    least = sum(c * RUNG**n for c, n in zip(world.costs, world.needs, strict=True))
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
    at = [rungs[1] for rungs in tried(trials)]
    assert at.count(-0.5) == 1
    assert not trials[-1].judgement.damage


def test_while_there_is_damage_nobody_gets_stronger() -> None:
    world = World((3.0, -5.0), costs=(1.0, 1.0), bearable=RUNG**3.5 + RUNG**-4.5)
    trials = world.search()
    for before, after in itertools.pairwise(trials):
        if before.judgement.damage:
            pairs = zip(rungs_of(before.settings), rungs_of(after.settings), strict=True)
            for distance, (was, now) in zip(
                world.beyond(rungs_of(before.settings)), pairs, strict=True
            ):
                assert now <= was or not distance > 0
    assert best_passing(trials) is not None


# Cohorts of which nothing tells how much would be enough ---------------------------------------


@pytest.mark.parametrize("at_base", [Closeness.ALIKE, Closeness.FAMILIAR])
def test_what_the_base_treats_like_unseen_data_is_dampened_at_its_seed(at_base: Closeness) -> None:
    rungs = tried(World((-math.inf,)).search(at_base=at_base))
    assert rungs[0] == (0.0,)
    assert (len(rungs) == 1) == (at_base is Closeness.ALIKE)


@pytest.mark.parametrize("strange", [-0.5, -2.5, -6.0, -11.0])
def test_what_becomes_conspicuous_though_the_base_was_alike_steps_back(strange: float) -> None:
    trials = World((-math.inf,), strange=(strange,)).search(at_base=Closeness.ALIKE)
    assert trials[-1].judgement.passes
    assert not any(trial.judgement.passes for trial in trials[:-1])
    rungs = [rung for (rung,) in tried(trials)]
    assert rungs == sorted(rungs, reverse=True)


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
    rungs = [rungs[0] for rungs in tried(trials)]
    assert rungs == sorted(rungs, reverse=True)


def test_what_is_familiar_and_must_not_become_gentler_is_dampened_further() -> None:
    world = World((1.0,))
    floors = {cohort: Setting(seed, 1.0) for cohort, seed in world.seeds.items()}
    at_base = dict.fromkeys(world.seeds, Closeness.ALIKE)
    taken = best_passing(search(world.seeds, at_base, world.attempt, PLENTY, floors))
    assert taken is not None
    assert rungs_of(taken.settings)[0] >= 1.0


def test_it_steps_back_by_itself_while_others_search() -> None:
    world = World((3.0, -math.inf), strange=(math.inf, -0.5))
    known = dict(zip(COHORTS, (Closeness.FAMILIAR, Closeness.ALIKE), strict=False))
    chosen = best_passing(world.search(at_base=known))
    assert chosen is not None
    assert rungs_of(chosen.settings) == (3.0, -1.0)


def test_what_slips_though_the_base_was_alike_is_dampened_further() -> None:
    world = World((2.0, 1.7))
    known = dict(zip(COHORTS, (Closeness.FAMILIAR, Closeness.ALIKE), strict=False))
    chosen = best_passing(world.search(at_base=known))
    assert chosen is not None
    assert rungs_of(chosen.settings) == (2.0, 2.0)


def test_what_cannot_be_decided_stays_at_its_seed() -> None:
    def attempt(settings: Mapping[Cohort, Setting]) -> Trial:
        standings = dict.fromkeys(settings, standing(None))
        return Trial(
            dict(settings), Judgement(standings, NO_FALLS, False, [], [], [], ["who knows"]), 1.0
        )

    cohort = COHORTS[0]
    trials = search({cohort: 2.0}, {cohort: Closeness.UNDECIDABLE}, attempt, PLENTY)
    assert tried(trials) == [(0.0,)]


# An end before all is known --------------------------------------------------------------------


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
    assert rungs_of(first.settings) == (3.0,)
    chosen = best_passing(trials)
    assert chosen is not None
    assert rungs_of(chosen.settings) == (2.0,)
    # Where nothing does, it is what is taken.
    chosen = best_passing(World((1.9,), strange=(1.9,), spared=spared, accepted=True).search())
    assert chosen is not None
    assert 1.9 <= rungs_of(chosen.settings)[0] <= 1.9 + FINEST


# Time ------------------------------------------------------------------------------------------


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


# What is taken ---------------------------------------------------------------------------------


def trial(
    change: float, distance: float = 0.0, *, damage: bool = False, fall: float = 0.0
) -> Trial:
    standings = {COHORTS[0]: standing(distance), COHORTS[1]: standing(None)}
    short = ["not enough"] if distance else []
    falls = Falls(Fall(1.0, 1.0 - fall, 1000, lost=round(1000 * fall), gained=0), {}, None)
    judgement = Judgement(standings, falls, False, ["too much"] * damage, [], short, [])
    return Trial({}, judgement, change)


def test_of_those_that_pass_the_gentlest_is_taken() -> None:
    trials = [trial(3.0), trial(1.0, damage=True), trial(2.0), trial(0.5, 0.1), trial(2.5)]
    assert best_passing(trials) is trials[2]
    assert best_passing(trials[3:4]) is None
    assert best_passing([]) is None


def test_cohorts_that_show_something_only_together_are_all_dampened_more() -> None:
    world = World(needs=(-20.0,) * 3, together=4.0)
    trials = world.search()
    best = best_passing(trials)
    assert best is not None
    assert len(set(rungs_of(best.settings))) == 1
    # Half a rung is as fine as the search looks, and three of them go at once.
    assert 4.0 <= sum(rungs_of(best.settings)) <= 4.0 + 3 * RESOLUTION
    assert not any(trial.judgement.passes for trial in trials if sum(rungs_of(trial.settings)) < 4)


def test_of_what_the_base_shows_nothing_even_together_every_seed_is_kept() -> None:
    world = World(needs=(-20.0,) * 3, together=-20.0)
    assert tried(world.search(at_base=Closeness.ALIKE)) == [(0.0, 0.0, 0.0)]


def test_gentleness_decides_between_those_that_cost_about_the_same() -> None:
    trials = [trial(3.0, fall=0.004), trial(4.0), trial(1.0, fall=0.02), trial(2.0, fall=0.006)]
    assert best_passing(trials) is trials[0]
    assert best_passing(trials[2:]) is trials[3]
    # A rise is no merit: it may be chance, and others fall.
    assert best_passing([trial(1.0), trial(2.0, fall=-0.1)]).change == 1.0  # type: ignore[union-attr]


def test_of_a_label_that_is_gone_what_is_left_counts_as_what_is_lost_does() -> None:
    def leaving(change: float, left: float, fall: float = 0.0) -> Trial:
        recognised = Estimate(left, 100, left, left)
        gone = replace(standing(0.0), rule=Rule.CHANCE, recognised=recognised)
        found = trial(change, fall=fall)
        return replace(found, judgement=replace(found.judgement, standings={COHORTS[0]: gone}))

    trials = [leaving(1.0, 0.02), leaving(2.0, 0.001), leaving(3.0, 0.0, 0.03)]
    assert best_passing(trials) is trials[1]
    assert best_passing(trials[::2]) is trials[0]


def test_of_those_that_cost_the_same_the_one_that_leaves_least_below_is_taken() -> None:
    def leaving(change: float, left: float, fall: float = 0.0) -> Trial:
        found = trial(change, fall=fall)
        below = {COHORTS[0]: Estimate(left, 100, left, left)}
        return replace(found, judgement=replace(found.judgement, last_layer_restored=below))

    trials = [leaving(1.0, 0.9), leaving(3.0, 0.2), leaving(2.0, 0.2), leaving(4.0, 0.0, 0.02)]
    assert best_passing(trials) is trials[2]
    assert best_passing(trials[3:]) is trials[3]


def test_of_those_that_do_not_pass_the_nearest_is_taken_on_either_side() -> None:
    trials = [trial(1.0, 0.3), trial(9.0, -0.1), trial(1.0, 0.05, damage=True), trial(8.0, 0.1)]
    assert nearest(trials) is trials[3]
    assert nearest([each for each in trials if each.judgement.damage]) is trials[2]


def test_of_those_that_come_equally_near_one_that_costs_least_is_taken() -> None:
    trials = [trial(1.0, 0.1, fall=0.03), trial(3.0, 0.1), trial(2.0, 0.1, fall=0.004)]
    assert nearest(trials) is trials[2]
    assert nearest(trials[:2]) is trials[1]


def test_if_all_of_them_damage_the_gentlest_is_taken() -> None:
    trials = [trial(3.0, 0.1, damage=True), trial(1.0, 0.4, damage=True), trial(2.0, damage=True)]
    assert nearest(trials) is trials[1]


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


def test_a_floor_with_a_small_lambda_does_not_drag_the_selection_down() -> None:
    world = World(needs=(-3.0,), spared=True)
    (cohort,) = world.seeds
    floor = Setting(SEEDS[cohort], 0.1)
    at_base = {cohort: Closeness.FAMILIAR}
    trials = search(world.seeds, at_base, world.attempt, PLENTY, {cohort: floor})
    assert trials[0].settings[cohort].selection == pytest.approx(floor.selection)


def test_what_is_dampened_as_a_precaution_gives_way_first() -> None:
    # The first has something to forget and costs nothing; the second costs too much at its seed.
    world = World(needs=(0.7, -math.inf), costs=(0.0, 1.0), bearable=0.9)
    first, second = world.seeds
    at_base = {first: Closeness.FAMILIAR, second: Closeness.ALIKE}
    taken = best_passing(world.search(at_base=at_base))
    assert taken is not None
    assert rungs_of(taken.settings)[0] == pytest.approx(1.0)
