"""The registry of methods, on a network that has learnt its samples by heart."""

import typing

import pytest

from models.specifications import (
    AdaptiveMethod,
    AutoMethod,
    FixedMethod,
    LabelFreeMethod,
    Method,
    Policy,
)
from tests.unit.workers.unlearning.memorised import COHORT, FORGOTTEN, bench
from workers.unlearning.methods import METHODS
from workers.unlearning.mixing import CohortSettings
from workers.unlearning.searching.preference import best_passing
from workers.unlearning.searching.trials import Trial
from workers.unlearning.tuning import Setting, seed_selection, setting_at, step_of


def carried_out(method: Method, *, in_pairs: bool = False) -> list[Trial]:
    """The candidates that it tries."""
    workbench = bench(in_pairs=in_pairs)
    METHODS[method.method](method, workbench)
    return [tried.trial for tried in workbench.ladder]


def test_every_method_that_a_policy_may_name_has_a_function() -> None:
    annotation = typing.get_args(Policy.model_fields["method"].annotation)
    named = {typing.get_args(kind.model_fields["method"].annotation)[0] for kind in annotation}
    assert named == set(METHODS)


def test_fixed_tries_what_the_policy_says() -> None:
    method = FixedMethod.model_validate({"method": "fixed", "alpha": 7.5, "lambda": 0.5})
    (trial,) = carried_out(method)
    assert trial.settings == {COHORT: Setting(7.5, 0.5)}


@pytest.mark.parametrize(
    "method", [AdaptiveMethod(method="adaptive"), LabelFreeMethod(method="label_free")]
)
def test_adaptive_tries_the_percentile_and_a_strength_of_one(method: Method) -> None:
    (trial,) = carried_out(method)
    assert trial.settings == {COHORT: Setting(seed_selection(bench().seed(COHORT)), 1.0)}


def test_auto_is_done_at_the_seed_if_that_forgets_and_costs_nothing() -> None:
    (trial,) = carried_out(AutoMethod())
    assert trial.settings == {COHORT: setting_at(bench().seed(COHORT), 0)}
    assert best_passing([trial]) is trial
    # Of each forgotten sample one weight of 2, and hardly more.
    assert trial.change == pytest.approx(2.0 * FORGOTTEN**0.5, rel=0.01)


def test_auto_begins_at_the_seed_and_goes_on_while_nothing_passes() -> None:
    trials = carried_out(AutoMethod(), in_pairs=True)
    assert 3 < len(trials) <= AutoMethod().max_candidates
    assert trials[0].settings == {COHORT: setting_at(bench(in_pairs=True).seed(COHORT), 0)}
    assert best_passing(trials) is None
    changes = [trial.change for trial in trials]
    assert changes == sorted(changes)


def test_auto_goes_on_to_a_smaller_lambda_unless_there_is_a_floor() -> None:
    def strengths(floors: CohortSettings | None) -> set[float]:
        workbench = bench(in_pairs=True, floors=floors)
        METHODS["auto"](AutoMethod(), workbench)
        settings = [tried.trial.settings[COHORT] for tried in workbench.ladder]
        return {each.strength / min(1.0, each.selection) for each in settings}

    assert min(strengths(None)) < 1
    assert strengths({COHORT: Setting(1e6, 1.0)}) == {1.0}


@pytest.mark.parametrize("most", [1, 2, 3])
def test_auto_tries_no_more_candidates_than_the_policy_allows(most: int) -> None:
    assert len(carried_out(AutoMethod(max_candidates=most), in_pairs=True)) == most


def test_auto_tries_one_candidate_however_short_the_time() -> None:
    assert len(carried_out(AutoMethod(max_seconds=1e-9), in_pairs=True)) == 1


def test_adaptive_begins_where_the_scale_does_if_no_weight_has_a_finite_ratio() -> None:
    assert bench().seed(COHORT) == 0
    (trial,) = carried_out(AdaptiveMethod(method="adaptive"))
    assert trial.settings == {COHORT: Setting(1.0, 1.0)}
    assert step_of(trial.settings[COHORT], bench().seed(COHORT)) == 0
