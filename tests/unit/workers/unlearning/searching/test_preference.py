"""Which candidate is taken, of a few of which it is known how near they come and what they cost."""

from dataclasses import replace

from models.documents import Rule
from tests.unit.workers.unlearning.worlds import COHORTS, standing
from workers.unlearning.gating.damage import Fall, Falls
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.searching.preference import best_passing, nearest
from workers.unlearning.searching.trials import Trial


def trial(
    change: float, distance: float = 0.0, *, damage: bool = False, fall: float = 0.0
) -> Trial:
    standings = {COHORTS[0]: standing(distance), COHORTS[1]: standing(None)}
    short = ["not enough"] if distance else []
    falls = Falls(Fall(1.0, 1.0 - fall, 1000, lost=round(1000 * fall), gained=0), {}, None)
    judgement = Judgement(standings, falls, False, ["too much"] * damage, [], short, [])
    return Trial({}, judgement, change)


# Of those that pass ------------------------------------------------------------------------------


def test_of_those_that_pass_the_gentlest_is_taken() -> None:
    trials = [trial(3.0), trial(1.0, damage=True), trial(2.0), trial(0.5, 0.1), trial(2.5)]
    assert best_passing(trials) is trials[2]
    assert best_passing(trials[3:4]) is None
    assert best_passing([]) is None


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


def test_one_that_reaches_the_target_is_taken_before_one_that_is_only_accepted() -> None:
    beside = trial(1.0, -0.05)
    accepted = replace(beside, judgement=replace(beside.judgement, shortfalls=[]))
    assert best_passing([accepted, trial(2.0)]).change == 2.0  # type: ignore[union-attr]
    # It may cost next to nothing more, but not more than that.
    assert best_passing([accepted, trial(2.0, fall=0.02)]) is accepted


def test_of_those_that_cost_the_same_the_one_that_leaves_least_below_is_taken() -> None:
    def leaving(change: float, left: float, fall: float = 0.0) -> Trial:
        found = trial(change, fall=fall)
        below = {COHORTS[0]: Estimate(left, 100, left, left)}
        return replace(found, judgement=replace(found.judgement, last_layer_restored=below))

    trials = [leaving(1.0, 0.9), leaving(3.0, 0.2), leaving(2.0, 0.2), leaving(4.0, 0.0, 0.02)]
    assert best_passing(trials) is trials[2]
    assert best_passing(trials[3:]) is trials[3]


# Where none passes -------------------------------------------------------------------------------


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
