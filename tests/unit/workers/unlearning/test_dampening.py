"""Dampening against the formula written with plain Python floats."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.errors import NothingRetained
from workers.unlearning.dampening import (
    Population,
    apply_factors,
    dampen,
    dampened_counts,
    dampening_factors,
    importance_ratios,
    retain_sums,
    tighten,
    unit_factors,
)

# Sums as they occur: exact zeros are common, magnitudes spread over decades.
magnitudes = st.one_of(st.just(0.0), st.floats(1e-30, 1e6))
shares = st.one_of(st.just(0.0), st.just(1.0), st.floats(0.0, 1.0))


def oracle(
    full: float, forget: float, population: Population, selection: float, strength: float
) -> float:
    """β of one weight, by the equation and its four cases."""
    retain = full - forget
    if retain <= 1e-6 * full:
        retain = 0.0
    retain_importance = retain / (population.total - population.forgotten)
    forget_importance = forget / population.forgotten
    if not forget_importance > selection * retain_importance:
        return 1.0
    return min(strength * retain_importance / forget_importance, 1.0)


@given(
    weights=st.lists(st.tuples(magnitudes, shares), max_size=30),
    total=st.integers(2, 10_000),
    forgotten=st.integers(1, 9_999),
    selection=st.floats(0.01, 1000),
    strength=st.floats(0.01, 10),
)
def test_factors_equal_the_plain_formula_bit_for_bit(
    weights: list[tuple[float, float]],
    total: int,
    forgotten: int,
    selection: float,
    strength: float,
) -> None:
    population = Population(total=total + forgotten, forgotten=forgotten)
    full = [magnitude for magnitude, _ in weights]
    forget = [magnitude * share for magnitude, share in weights]
    found = dampening_factors(
        torch.tensor(full, dtype=torch.float64),
        torch.tensor(forget, dtype=torch.float64),
        population,
        selection=selection,
        strength=strength,
    )
    expected = [
        oracle(f, g, population, selection, strength) for f, g in zip(full, forget, strict=True)
    ]
    assert found.tolist() == expected
    # The compiled loop, over tensors of one dimension and of two.
    for shape in ((-1,), (-1, 1)):
        factors = {"w": torch.ones(len(full), dtype=torch.float64).view(shape)}
        sums = {
            name: {"w": torch.tensor(values, dtype=torch.float64).view(shape)}
            for name, values in (("full", full), ("forget", forget))
        }
        count = tighten(
            factors,
            sums["full"],
            sums["forget"],
            population,
            selection=selection,
            strength=strength,
        )
        assert factors["w"].flatten().tolist() == expected
        assert count == sum(factor < 1 for factor in expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    weights=st.lists(
        st.tuples(st.floats(-10, 10, width=32), magnitudes, magnitudes), min_size=1, max_size=30
    ),
    selection=st.floats(0.0625, 1000, width=32),
    strength=st.floats(0.0625, 10, width=32),
)
def test_one_cohort_is_dampened_in_place_bit_for_bit(
    dtype: torch.dtype,
    weights: list[tuple[float, float, float]],
    selection: float,
    strength: float,
) -> None:
    before = torch.tensor([w for w, _, _ in weights], dtype=torch.float32)
    retain = torch.tensor([r for _, r, _ in weights], dtype=torch.float64).to(dtype)
    forget = torch.tensor([f for _, _, f in weights], dtype=torch.float64).to(dtype)
    after = {"w": before.clone()}
    count = dampen(
        after, retain={"w": retain}, forget={"w": forget}, selection=selection, strength=strength
    )
    expected = []
    for row, weight in enumerate(before):
        r, f = retain[row], forget[row]
        factor = (strength * r / f).clamp(max=1) if f > selection * r else torch.tensor(1.0)
        expected.append(float(weight) if factor >= 1 else float(weight * factor))
    assert after["w"].double().tolist() == [float(torch.tensor(w).float()) for w in expected]
    assert count <= len(weights)


def test_a_weight_that_only_the_forgotten_use_becomes_zero() -> None:
    assert factor(full=3.0, forget=3.0) == 0.0


def test_a_weight_that_nobody_uses_is_left_alone_and_0_over_0_is_never_computed() -> None:
    assert factor(full=0.0, forget=0.0) == 1.0


def test_a_difference_within_rounding_is_no_retain_importance() -> None:
    full = torch.tensor([1.0], dtype=torch.float64)
    assert float(retain_sums(full, full * (1 - 1e-7))) == 0.0
    assert float(retain_sums(full, full * (1 + 1e-7))) == 0.0
    assert float(retain_sums(full, full * (1 - 1e-5))) == pytest.approx(1e-5)


def test_with_full_in_place_of_retain_the_ratio_could_never_exceed_the_share() -> None:
    # Why retain is computed: 10 % forgotten, a weight used by them alone.
    population = Population(total=100, forgotten=10)
    full = forget = torch.tensor([5.0], dtype=torch.float64)
    paper = (forget / 10) / (full / 100)
    assert float(paper) == 10.0
    assert math.isinf(float(importance_ratios(full, forget, population)))


def test_forgetting_everything_is_refused() -> None:
    with pytest.raises(NothingRetained):
        Population(total=5, forgotten=5)


def test_an_empty_cohort_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        Population(total=5, forgotten=0)


def test_cohorts_combine_by_their_minimum_in_any_order() -> None:
    torch.manual_seed(0)
    full = {"w": torch.rand(200, dtype=torch.float64)}
    cohorts = [
        ({"w": full["w"] * torch.rand(200, dtype=torch.float64)}, Population(100, n), n / 10)
        for n in (5, 20, 40)
    ]
    results = []
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0, 1)):
        factors = unit_factors(full)
        for index in order:
            forget, population, selection = cohorts[index]
            tighten(factors, full, forget, population, selection=selection, strength=1.0)
        results.append(factors["w"])
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert 0 < dampened_counts({"w": results[0]})["w"] < 200


def test_tighten_counts_what_one_cohort_dampens() -> None:
    full = {"w": torch.ones(4, dtype=torch.float64)}
    forget = {"w": torch.tensor([1.0, 0.9, 0.1, 0.0], dtype=torch.float64)}
    factors = unit_factors(full)
    count = tighten(factors, full, forget, Population(10, 5), selection=2.0, strength=1.0)
    assert count == 2
    torch.testing.assert_close(
        factors["w"], torch.tensor([0.0, 1 / 9, 1.0, 1.0], dtype=torch.float64)
    )


@pytest.mark.parametrize("transposed", [False, True])
def test_what_another_cohort_has_dampened_is_not_counted_again(transposed: bool) -> None:
    full = torch.ones(3, 2, dtype=torch.float64)
    forget = torch.tensor([[1.0, 0.9], [0.1, 0.0], [0.0, 0.0]], dtype=torch.float64)
    factors = torch.full((3, 2), 0.5, dtype=torch.float64)
    if transposed:
        # What lies in memory otherwise is no work for the compiled loops.
        full, forget, factors = (tensor.T for tensor in (full, forget, factors))
    count = tighten(
        {"w": factors}, {"w": full}, {"w": forget}, Population(10, 5), selection=2.0, strength=1.0
    )
    assert count == 2
    assert sorted(factors.flatten().tolist()) == pytest.approx([0.0, 1 / 9, 0.5, 0.5, 0.5, 0.5])


@given(values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=20))
def test_weights_are_multiplied_in_float64_and_rounded_once(values: list[float]) -> None:
    factors = {"w": torch.linspace(0, 1, len(values), dtype=torch.float64)}
    weights: dict[str, Tensor] = {
        "w": torch.tensor(values, dtype=torch.float32),
        "running_mean": torch.tensor([1.0]),
    }
    found = apply_factors(weights, factors)
    expected = torch.tensor(
        [value * float(f) for value, f in zip(weights["w"].tolist(), factors["w"], strict=True)],
        dtype=torch.float64,
    ).float()
    assert torch.equal(found["w"], expected)
    assert found["running_mean"] is weights["running_mean"]


def factor(*, full: float, forget: float) -> float:
    """β of one weight at α = 2, λ = 1, a tenth forgotten."""
    return float(
        dampening_factors(
            torch.tensor([full], dtype=torch.float64),
            torch.tensor([forget], dtype=torch.float64),
            Population(total=100, forgotten=10),
            selection=2.0,
            strength=1.0,
        )
    )
