"""A smaller λ, in small worlds where it is known what it forgets and what it costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from models.documents import Closeness, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.damage import Fall, Falls
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.gating.pooling import Pooled
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.standing import Standing
from workers.unlearning.searching.preference import best_passing, nearest
from workers.unlearning.searching.scale import RESOLUTION
from workers.unlearning.searching.strengthening import LAMBDA_DIVISOR, MOST_DIVISIONS, strengthen
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import STEP_FACTOR, Setting

FIRST, SECOND = (Cohort((label,), 10, scattered=False) for label in range(2))
PLENTY = Limits(candidates=64, seconds=math.inf)
BEFORE = Setting(4.0, 1.0)


@dataclass(frozen=True)
class World:
    """Labels that are gone. Of each, λ times α's share in what is selected at 4 is `left`.

    Of the samples that stay a share of `cost` is lost at α = 4, `more` each time λ is divided, and
    much less the greater α is. More than `bearable` is damage.
    """

    left: float = 0.0
    cost: float = 0.0
    more: float = 0.0
    bearable: float = 0.1
    accepted: float = 0.1
    rule: Rule = Rule.CHANCE
    tried: list[dict[Cohort, Setting]] = field(default_factory=list)

    def attempt(self, settings: Mapping[Cohort, Setting]) -> Trial:
        self.tried.append(dict(settings))
        standings = {cohort: self.standing(each) for cohort, each in settings.items()}
        fall = self.fall(settings[FIRST])
        short = [cohort for cohort, each in standings.items() if not each.accepted]
        judgement = Judgement(
            standings=standings,
            falls=Falls(Fall(0.9, 0.9 - fall, 1000, lost=round(1000 * fall), gained=0), {}, None),
            spares=fall <= 0.01,
            damage=["too much"] if fall > self.bearable else [],
            unmeasured=[],
            shortfalls=["not enough" for _ in short],
            undecided=[],
        )
        return Trial(dict(settings), judgement, change=1 / settings[FIRST].strength)

    def fall(self, setting: Setting) -> float:
        divisions = math.log(1 / setting.strength, LAMBDA_DIVISOR)
        return (self.cost + self.more * divisions) * (BEFORE.selection / setting.selection) ** 4

    def standing(self, setting: Setting) -> Standing:
        left = self.left * setting.strength * setting.selection / BEFORE.selection
        near = left <= 0.02
        recognised = Estimate(left, 1000, left, left)
        return Standing(
            self.rule,
            Closeness.ALIKE if near else Closeness.FAMILIAR,
            0.0 if near else left,
            0.02,
            left <= self.accepted,
            None,
            None,
            recognised,
            "unseen",
            None,
        )

    def strengthened(
        self, limits: Limits = PLENTY, first: Setting = BEFORE, cohorts: tuple[Cohort, ...] = ()
    ) -> list[Trial]:
        of_each = dict.fromkeys(cohorts or (FIRST,), first)
        return strengthen([self.attempt(of_each)], cohorts[:1] or (FIRST,), self.attempt, limits)

    def settings(self) -> list[tuple[float, float]]:
        return [(each[FIRST].selection, each[FIRST].strength) for each in self.tried]


def test_where_nothing_is_left_and_nobody_loses_nothing_more_is_tried() -> None:
    assert len(World().strengthened()) == 1


def test_what_is_left_at_a_setting_is_dampened_more_at_the_same_selection() -> None:
    world = World(left=0.09)
    trials = world.strengthened()
    assert best_passing(trials) is trials[-1]
    assert world.settings() == [
        (4.0, 1.0),
        (4.0, 1 / LAMBDA_DIVISOR),
        (4.0, pytest.approx(1 / LAMBDA_DIVISOR**2)),
    ]


def test_it_ends_as_soon_as_nothing_is_left() -> None:
    world = World(left=0.012)
    trials = world.strengthened()
    assert world.settings() == [(4.0, 1.0), (4.0, 1 / LAMBDA_DIVISOR)]
    assert trials[-1].judgement.is_ideal


def test_where_it_costs_more_than_it_forgets_what_there_was_is_taken() -> None:
    world = World(left=0.03, more=0.05)
    trials = world.strengthened()
    assert len(trials) == 2
    assert best_passing(trials) is trials[0]


def test_where_dampening_more_was_enough_but_too_dear_fewer_weights_are_selected() -> None:
    world = World(left=0.012, more=0.014)
    trials = world.strengthened()
    gentler = pytest.approx(4.0 * STEP_FACTOR**RESOLUTION)
    assert world.settings() == [
        (4.0, 1.0),
        (4.0, 1 / LAMBDA_DIVISOR),
        (gentler, 1 / LAMBDA_DIVISOR),
    ]
    assert trials[1].judgement.cost > trials[0].judgement.cost
    assert best_passing(trials) is trials[-1]


def test_where_that_is_too_little_half_of_it_is_tried_and_no_more() -> None:
    # Damage where the same weights are dampened more; half a step from there too much is left.
    world = World(left=0.0148, more=0.12, accepted=0.0058)
    trials = world.strengthened()
    selections = [selection for selection, _ in world.settings()]
    assert selections == pytest.approx([4.0, 4.0, 4.0 * STEP_FACTOR**0.5, 4.0 * STEP_FACTOR**0.25])
    assert trials[1].judgement.damage
    assert [trial.judgement.passes for trial in trials] == [False, False, False, True]


def test_what_has_not_passed_may_pass_with_a_smaller_lambda() -> None:
    world = World(left=0.25)
    trials = world.strengthened()
    assert [trial.judgement.passes for trial in trials] == [False, True, True]


def test_what_forgets_but_costs_selects_fewer_weights_and_dampens_each_more() -> None:
    world = World(cost=0.03)
    trials = world.strengthened()
    assert world.settings()[1] == (pytest.approx(4.0 * STEP_FACTOR**RESOLUTION), 1 / LAMBDA_DIVISOR)
    assert best_passing(trials) is trials[-1]
    assert trials[-1].judgement.cost < trials[0].judgement.cost


@pytest.mark.parametrize("rule", [Rule.LIKE_UNSEEN, Rule.EXPECTED])
def test_of_a_label_that_stays_what_has_passed_is_left_alone(rule: Rule) -> None:
    assert len(World(cost=0.03, rule=rule).strengthened()) == 1
    # Though it is familiar: that was accepted with an earlier version.
    assert len(World(left=0.09, rule=rule).strengthened()) == 1


def test_what_costs_next_to_nothing_is_not_tried_to_cost_less() -> None:
    world = World(cost=0.004)
    first = world.attempt({FIRST: BEFORE})
    # Of a small label it is more than that.
    dearer = replace(first, judgement=replace(first.judgement, spares=False))
    assert strengthen([dearer], [FIRST], world.attempt, PLENTY) == [dearer]


def test_where_nothing_passes_the_nearest_without_damage_is_dampened_more() -> None:
    world = World(left=0.9, cost=0.06)
    harmful = world.attempt({FIRST: Setting(2.0, 1.0)})
    harmless = world.attempt({FIRST: BEFORE})
    trials = strengthen([harmful, harmless], [FIRST], world.attempt, PLENTY)
    assert harmful.judgement.damage
    assert world.settings()[2] == (4.0, 1 / LAMBDA_DIVISOR)
    taken = best_passing(trials) or nearest(trials)
    assert taken is trials[-1]


def test_of_several_cohorts_those_that_are_short_come_first_and_alone() -> None:
    short_and_not = {FIRST: BEFORE, SECOND: Setting(0.2, 1.0)}
    world = World(left=0.09, cost=0.03)
    first = world.attempt(short_and_not)
    assert first.judgement.standings[FIRST].leaves_some
    assert not first.judgement.standings[SECOND].leaves_some
    trials = strengthen([first], [FIRST, SECOND], world.attempt, PLENTY)
    assert trials[1].settings == {
        FIRST: Setting(4.0, 1 / LAMBDA_DIVISOR),
        SECOND: Setting(0.2, 1.0),
    }


def test_cohorts_that_show_something_only_together_are_all_dampened_more() -> None:
    world = World(rule=Rule.LIKE_UNSEEN)

    def attempt(settings: Mapping[Cohort, Setting]) -> Trial:
        trial = world.attempt(settings)
        alone = trial.judgement.standings[FIRST]
        together = replace(alone, closeness=Closeness.FAMILIAR, distance=0.1, accepted=False)
        judgement = replace(
            trial.judgement,
            pooled=Pooled(frozenset(settings), together, to_forget=True, excused=False),
            shortfalls=["together not enough"],
        )
        return replace(trial, judgement=judgement)

    first = attempt({FIRST: BEFORE, SECOND: BEFORE})
    trials = strengthen([first], [FIRST, SECOND], attempt, PLENTY)
    assert trials[1].settings == dict.fromkeys([FIRST, SECOND], Setting(4.0, 1 / LAMBDA_DIVISOR))


def test_of_equally_near_candidates_the_strongest_is_gone_on_from() -> None:
    # Neither passes, as something else cannot be told; both are as near as can be.
    world = World(left=0.01, cost=0.001)
    found = [world.attempt({FIRST: Setting(selection, 1.0)}) for selection in (4.0, 3.0)]
    trials = [
        replace(each, judgement=replace(each.judgement, undecided=["who knows"]), change=change)
        for each, change in zip(found, (1.0, 2.0), strict=True)
    ]
    strengthen(trials, [FIRST], world.attempt, PLENTY)
    assert world.settings()[2] == (3.0, 1 / LAMBDA_DIVISOR)


def test_where_every_candidate_damages_nothing_more_is_tried() -> None:
    assert len(World(left=0.09, cost=0.2).strengthened()) == 1


def test_lambda_is_divided_a_few_times_at_most() -> None:
    assert len(World(left=40.0).strengthened()) == 1 + MOST_DIVISIONS


def test_other_cohorts_stay_where_they_are() -> None:
    world = World(left=0.09)
    world.strengthened(cohorts=(FIRST, SECOND))
    assert len(world.tried) > 1
    assert {tuple(vars(each[SECOND]).values()) for each in world.tried} == {(4.0, 1.0)}


@pytest.mark.parametrize("limits", [Limits(1, math.inf), Limits(64, 0.0)])
def test_no_candidate_is_tried_beyond_the_limits(limits: Limits) -> None:
    assert len(World(left=0.09).strengthened(limits)) == 1
