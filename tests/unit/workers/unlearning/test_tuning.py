"""The adaptive rule against a sort in plain Python."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.unlearning.dampening import Population
from workers.unlearning.tuning import adaptive_percentile, adaptive_selection


@pytest.mark.parametrize(
    ("forgotten", "percentile"),
    [(1, 100 - math.log(1 + 0.01)), (1000, 100 - math.log(11)), (5000, 100 - math.log(51))],
)
def test_the_percentile_falls_with_the_share_to_forget(forgotten: int, percentile: float) -> None:
    population = Population(total=10_000, forgotten=forgotten)
    assert adaptive_percentile(population) == pytest.approx(percentile)


@given(
    pairs=st.lists(
        st.tuples(st.floats(0, 100), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=60
    ),
    forgotten=st.integers(1, 99),
)
def test_selection_is_the_nearest_rank_percentile_of_the_finite_ratios(
    pairs: list[tuple[float, float]], forgotten: int
) -> None:
    population = Population(total=100, forgotten=forgotten)
    full = {
        "a": torch.tensor([f for f, _ in pairs[::2]], dtype=torch.float64),
        "b": torch.tensor([f for f, _ in pairs[1::2]], dtype=torch.float64),
    }
    forget = {
        "a": torch.tensor([f * s for f, s in pairs[::2]], dtype=torch.float64),
        "b": torch.tensor([f * s for f, s in pairs[1::2]], dtype=torch.float64),
    }
    assert adaptive_selection(full, forget, population) == pytest.approx(oracle(pairs, population))


def oracle(pairs: list[tuple[float, float]], population: Population) -> float:
    """Sort the ratios that have a divisor; take the one at the percentile's rank."""
    ratios = sorted(
        (f * s / population.forgotten) / ((f - f * s) / (population.total - population.forgotten))
        for f, s in pairs
        if f - f * s > 0 and (f - f * s) / (population.total - population.forgotten) > 0
    )
    if not ratios:
        return 0.0
    share = (100 - math.log(1 + 100 * population.forgotten / population.total)) / 100
    return ratios[max(math.ceil(share * len(ratios)), 1) - 1]


def test_weights_that_belong_to_the_forgotten_alone_do_not_count() -> None:
    full = {"w": torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)}
    forget = {"w": torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)}
    assert adaptive_selection(full, forget, Population(4, 2)) == pytest.approx(1.0)
    only = {"w": torch.ones(2, dtype=torch.float64)}
    assert adaptive_selection(only, only, Population(4, 2)) == 0.0
