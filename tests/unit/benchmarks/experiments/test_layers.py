"""Which weights are selected."""

import pytest
import torch

from benchmarks.experiments.layers import (
    Layer,
    by_layer,
    match,
    selected_by_difference,
    selected_by_full,
)
from workers.unlearning.dampening import Population


def masks(*selected: bool) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(selected)}


def test_precision_is_of_what_is_selected_and_recall_of_what_ought_to_be() -> None:
    found = match(masks(True, True, False, False), masks(True, False, True, True))
    assert found.precision == pytest.approx(1 / 2)
    assert found.recall == pytest.approx(1 / 3)


def test_of_nothing_selected_there_is_no_precision() -> None:
    found = match(masks(False, False), masks(True, False))
    assert found.precision is None
    assert found.recall == 0


def test_what_only_the_forgotten_use_is_beyond_the_published_rule_from_a_tenth_on() -> None:
    # One of ten samples is forgotten; weights are that sample's alone, everybody's, and nobody's.
    full = {"w": torch.tensor([4.0, 10.0, 0.0], dtype=torch.float64)}
    forget = {"w": torch.tensor([4.0, 1.0, 0.0], dtype=torch.float64)}
    population = Population(total=10, forgotten=1)
    for selection, by_full in ((9.0, True), (10.0, False), (1000.0, False)):
        exact = selected_by_difference(full, forget, population, selection)["w"].tolist()
        assert exact == [True, False, False]
        published = selected_by_full(full, forget, population, selection)["w"].tolist()
        assert published == [by_full, False, False]


def test_a_layer_has_all_parameters_of_its_module() -> None:
    weights = {name: torch.zeros(size) for name, size in (("a.b.weight", 6), ("a.b.bias", 2))}
    assert by_layer(weights, {"a.b.weight": 3, "a.b.bias": 1}) == {"a.b": Layer(8, 4)}
