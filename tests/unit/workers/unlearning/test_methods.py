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
from workers.unlearning.search import Trial, gentlest_passing
from workers.unlearning.tuning import Setting, setting_at


def carried_out(method: Method) -> list[Trial]:
    """The candidates that it tries."""
    workbench = bench()
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
    assert trial.settings == {COHORT: Setting(bench().seed(COHORT), 1.0)}


def test_auto_begins_at_the_seed_and_ends_with_what_only_the_forgotten_use() -> None:
    trials = carried_out(AutoMethod())
    assert 1 < len(trials) <= AutoMethod().max_candidates
    assert trials[0].settings == {COHORT: setting_at(bench().seed(COHORT), 0)}
    chosen = gentlest_passing(trials)
    assert chosen is not None
    # Of each forgotten sample one weight of 2.
    assert chosen.change == pytest.approx(2.0 * FORGOTTEN**0.5)
    assert trials[0].change > chosen.change


@pytest.mark.parametrize("most", [1, 2, 3])
def test_auto_tries_no_more_candidates_than_the_policy_allows(most: int) -> None:
    assert len(carried_out(AutoMethod(max_candidates=most))) == most


def test_auto_tries_one_candidate_however_short_the_time() -> None:
    assert len(carried_out(AutoMethod(max_seconds=1e-9))) == 1
