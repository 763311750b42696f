"""Going deeper, in small worlds where it is known what is left at which step and what it costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.documents import Closeness, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.damage import Fall, Falls
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.standing import NEGLIGIBLE, Standing
from workers.unlearning.searching.deepening import PATIENCE, deepen
from workers.unlearning.searching.preference import best_passing
from workers.unlearning.searching.scale import RESOLUTION
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import STEP_FACTOR, Setting, setting_at

COHORTS = [Cohort((label,), 10, scattered=False) for label in range(3)]
SEED = 8.0
PLENTY = Limits(candidates=64, seconds=math.inf)


def fall_of(share: float, count: int) -> Fall:
    """From 90 %, by a share of so many samples."""
    return Fall(0.9, 0.9 - share, count, lost=round(share * count), gained=0)


@dataclass(frozen=True)
class World:
    """Labels that are gone: nothing is recognised of any.

    Below the last layer something is left of each until the step that it `needs`; from the step
    `dear` on of any of them those that stay lose more than next to nothing.
    """

    needs: tuple[float, ...]
    dear: float = math.inf
    passes: bool = True
    # How far one small label falls for each step.
    of_one: float = 0.0
    tried: list[tuple[float, ...]] = field(default_factory=list)

    def attempt(self, settings: Mapping[Cohort, Setting]) -> Trial:
        steps = tuple(math.log(SEED / each.selection, STEP_FACTOR) for each in settings.values())
        self.tried.append(tuple(round(step, 6) for step in steps))
        left = [
            max(0.0, min(1.0, (need - step) / 10))
            for need, step in zip(self.needs, steps, strict=True)
        ]
        fall = 2 * NEGLIGIBLE if max(steps) >= self.dear else 0.0
        one = fall_of(self.of_one * max(steps), 20)
        gone = Standing(
            Rule.CHANCE, Closeness.ALIKE, 0.0, 0.02, True, None, None, share(0.0), "unseen", None
        )
        judgement = Judgement(
            standings=dict.fromkeys(settings, gone),
            last_layer_restored={c: share(each) for c, each in zip(settings, left, strict=True)},
            falls=Falls(fall_of(fall, 1000), {7: one}, None),
            spares=True,
            damage=[],
            unmeasured=[],
            shortfalls=[] if self.passes else ["not enough"],
            undecided=[],
        )
        return Trial(dict(settings), judgement, change=sum(STEP_FACTOR**step for step in steps))

    def deepened(self, limits: Limits = PLENTY, cohorts: list[Cohort] | None = None) -> list[Trial]:
        mine = COHORTS[: len(self.needs)]
        first = self.attempt(dict.fromkeys(mine, Setting(SEED, 1.0)))
        return deepen([first], mine if cohorts is None else cohorts, self.attempt, limits)

    def reached(self) -> tuple[float, ...]:
        best = best_passing(self.deepened())
        assert best is not None
        return tuple(
            math.log(SEED / each.selection, STEP_FACTOR) for each in best.settings.values()
        )


def share(value: float) -> Estimate:
    return Estimate(value, 1000, value, value)


def test_where_nothing_is_left_below_the_last_layer_nothing_more_is_tried() -> None:
    assert len(World((0.0, -1.0)).deepened()) == 1


def test_where_nothing_passes_nothing_more_is_tried() -> None:
    assert len(World((3.0,), passes=False).deepened()) == 1


def test_it_goes_on_where_the_next_steps_take_nothing_away_yet_but_not_for_ever() -> None:
    (step,) = World((12.0,)).reached()
    assert step == pytest.approx(12.0)
    world = World((100.0,))
    assert world.reached() == (0.0,)
    assert len(world.tried) == 1 + PATIENCE


def test_one_small_label_is_not_lost_for_it() -> None:
    # Five points of a hundred samples are bearable; half a point more is next to nothing.
    (step,) = World((9.0,), of_one=0.015).reached()
    assert step == pytest.approx(3.5)


def test_what_the_search_has_tried_is_not_tried_again() -> None:
    world = World((9.0,), dear=3.0)
    first, dear = (world.attempt({COHORTS[0]: setting_at(SEED, step)}) for step in (2.0, 3.0))
    trials = deepen([dear, first], COHORTS[:1], world.attempt, PLENTY)
    assert trials[:2] == [dear, first]
    assert [step for (step,) in world.tried] == [2.0, 3.0, 2.5]
    assert best_passing(trials) is trials[2]


@given(st.floats(0.1, 8.0), st.floats(0.1, 8.0))
def test_it_goes_as_deep_as_it_needs_or_as_deep_as_costs_nothing(need: float, dear: float) -> None:
    (step,) = World((need,), dear).reached()
    assert step < min(dear, need + 1)
    assert step >= min(dear - 2 * RESOLUTION, need - 0.05 - 1e-6)


def test_each_cohort_stops_where_nothing_is_left_of_it() -> None:
    assert World((0.0, 0.9, 2.8)).reached() == pytest.approx((0.0, 1.0, 3.0))


def test_a_smaller_lambda_is_kept_on_the_way() -> None:
    world = World((2.0,))
    first = world.attempt({COHORTS[0]: Setting(SEED, 0.25)})
    trials = deepen([first], COHORTS[:1], world.attempt, PLENTY)
    assert len(trials) > 1
    assert {trial.settings[COHORTS[0]].strength for trial in trials} == {0.25}


def test_the_same_selection_with_another_lambda_has_not_been_tried() -> None:
    world = World((1.0,))
    weaker, first = (
        world.attempt({COHORTS[0]: Setting(selection, strength)})
        for selection, strength in ((SEED / STEP_FACTOR, 1.0), (SEED, 0.25))
    )
    failed = replace(weaker, judgement=replace(weaker.judgement, shortfalls=["not enough"]))
    trials = deepen([failed, first], COHORTS[:1], world.attempt, PLENTY)
    assert trials[2].settings == {COHORTS[0]: Setting(SEED / STEP_FACTOR, 0.25)}


def test_a_step_too_far_is_halved_and_then_given_up() -> None:
    world = World((9.0,), dear=1.7)
    world.deepened()
    assert [step for (step,) in world.tried] == [0.0, 1.0, 2.0, 1.5]


def test_it_goes_no_deeper_than_leaves_all_cohorts_at_their_target() -> None:
    world = World((9.0, 0.0))

    def attempt(settings: Mapping[Cohort, Setting]) -> Trial:
        trial = world.attempt(settings)
        standings = dict(trial.judgement.standings)
        if world.tried[-1][0] > 1.7:
            # It passes all the same, as not many fewer are recognised than expected.
            standings[COHORTS[1]] = replace(
                standings[COHORTS[1]], closeness=Closeness.CONSPICUOUS, distance=-0.1
            )
        return replace(trial, judgement=replace(trial.judgement, standings=standings))

    first = attempt(dict.fromkeys(COHORTS[:2], Setting(SEED, 1.0)))
    trials = deepen([first], COHORTS[:2], attempt, PLENTY)
    assert all(trial.judgement.passes for trial in trials)
    assert [step for step, _ in world.tried] == [0.0, 1.0, 2.0, 1.5]


def test_cohorts_that_are_not_to_be_tuned_stay_where_they_are() -> None:
    world = World((3.0, 3.0))
    world.deepened(cohorts=COHORTS[:1])
    assert [steps[1] for steps in world.tried] == [0.0] * len(world.tried)
    assert len(world.tried) > 1


@pytest.mark.parametrize("most", [1, 2, 4])
def test_no_candidate_is_tried_beyond_the_limit(most: int) -> None:
    assert len(World((19.0,)).deepened(Limits(candidates=most, seconds=math.inf))) == most


def test_no_candidate_is_tried_after_the_time_is_up() -> None:
    assert len(World((19.0,)).deepened(Limits(candidates=64, seconds=0.0))) == 1
