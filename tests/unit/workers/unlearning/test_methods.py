"""The registry of methods."""

import typing

import torch

from models.specifications import AdaptiveMethod, FixedMethod, Policy
from workers.unlearning.dampening import Population
from workers.unlearning.methods import METHODS
from workers.unlearning.tuning import Setting, adaptive_selection

FULL = {"w": torch.linspace(1, 2, 50, dtype=torch.float64)}
FORGET = {"w": torch.linspace(0, 1, 50, dtype=torch.float64)}
POPULATION = Population(total=100, forgotten=10)


def test_every_method_that_a_policy_may_name_has_a_function() -> None:
    annotation = typing.get_args(Policy.model_fields["method"].annotation)
    named = {typing.get_args(kind.model_fields["method"].annotation)[0] for kind in annotation}
    assert named == set(METHODS)


def test_fixed_takes_what_the_policy_says() -> None:
    method = FixedMethod.model_validate({"method": "fixed", "alpha": 7.5, "lambda": 0.5})
    assert METHODS["fixed"](method, FULL, FORGET, POPULATION) == Setting(7.5, 0.5)


def test_adaptive_takes_the_percentile_and_a_strength_of_one() -> None:
    expected = Setting(adaptive_selection(FULL, FORGET, POPULATION), 1.0)
    assert METHODS["adaptive"](AdaptiveMethod(), FULL, FORGET, POPULATION) == expected
