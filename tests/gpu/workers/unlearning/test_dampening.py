"""Dampening and the percentile rule on the GPU: the bits of the CPU's compiled loops."""

import math

import pytest
import torch
from torch import Tensor

from tests.gpu.networks import on_cpu
from tests.unit.workers.unlearning.spreads import shared, spread, uniform
from workers.unlearning.dampening import (
    Population,
    apply_factors,
    dampen,
    dampened_counts,
    tighten,
    unit_factors,
)
from workers.unlearning.importances import Sums
from workers.unlearning.tuning import adaptive_selection

CPU = torch.device("cpu")
SHAPES = {"kernel": (16, 3, 3, 3), "matrix": (300, 50), "bias": (17,), "scale": ()}
ENTRIES = sum(map(math.prod, SHAPES.values()))
# Two cohorts each. By numbers that are no powers of two a GPU may divide in another way.
COHORTS = [
    [Population(1024 + 64, 64), Population(1024 + 256, 256)],
    [Population(1000, 77), Population(1000, 231)],
]


def full_sums() -> Sums:
    """Of every shape."""
    return {name: spread(10 * n, *shape) for n, (name, shape) in enumerate(SHAPES.items())}


def forget_sums(full: Sums, cohort: int) -> Sums:
    """What a cohort has of them."""
    return {
        name: shared(total, 100 * (cohort + 1) + 10 * n)
        for n, (name, total) in enumerate(full.items())
    }


def factors_below_one() -> Sums:
    """Of every shape."""
    return {name: uniform(3 + n, *shape) for n, (name, shape) in enumerate(SHAPES.items())}


def weights() -> dict[str, Tensor]:
    """Of every shape, in float32."""
    return {
        name: (uniform(50 + n, *shape) * 2 - 1).float()
        for n, (name, shape) in enumerate(SHAPES.items())
    }


def on(device: torch.device, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the device."""
    return {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}


def tightened(device: torch.device, populations: list[Population]) -> tuple[Sums, list[int]]:
    """The factors of a cohort for each population, computed on the device; what each dampens."""
    full = full_sums()
    factors = unit_factors(on(device, full))
    counts = [
        tighten(
            factors,
            on(device, full),
            on(device, forget_sums(full, cohort)),
            population,
            selection=3.7,
            strength=0.9,
        )
        for cohort, population in enumerate(populations)
    ]
    assert {factor.device.type for factor in factors.values()} == {device.type}
    return on_cpu(factors), counts


def selected(device: torch.device, population: Population) -> float:
    """α by the adaptive rule, computed on the device."""
    full = full_sums()
    return adaptive_selection(on(device, full), on(device, forget_sums(full, 0)), population)


@pytest.mark.parametrize("populations", COHORTS)
def test_the_factors_of_several_cohorts_have_the_cpus_bits(
    populations: list[Population], device: torch.device
) -> None:
    found, counts = tightened(device, populations)
    expected, expected_counts = tightened(CPU, populations)
    assert counts == expected_counts
    assert all(0 < count < ENTRIES for count in counts)
    assert all(torch.equal(found[name], factor) for name, factor in expected.items())
    assert dampened_counts(on(device, found)) == dampened_counts(expected)


@pytest.mark.parametrize("populations", COHORTS)
def test_the_adaptive_rule_selects_the_same_alpha_as_on_the_cpu(
    populations: list[Population], device: torch.device
) -> None:
    for population in populations:
        assert selected(device, population) == selected(CPU, population) > 0


def test_weights_are_scaled_to_the_cpus_bits_and_buffers_stay_the_same_objects(
    device: torch.device,
) -> None:
    base, factors = weights(), factors_below_one()
    expected = apply_factors(base, factors)
    there = on(device, base) | {"running_mean": torch.ones(3, device=device)}
    found = apply_factors(there, on(device, factors))
    assert found["running_mean"] is there["running_mean"]
    for name, tensor in expected.items():
        assert found[name].device.type == device.type
        assert torch.equal(found[name].cpu(), tensor)
        assert not torch.equal(tensor, base[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_cohort_is_dampened_in_place_to_the_cpus_bits(
    device: torch.device, dtype: torch.dtype
) -> None:
    full = full_sums()
    forget = {name: total.to(dtype) for name, total in forget_sums(full, 0).items()}
    retain = {name: (total - forget[name]).clamp(min=0).to(dtype) for name, total in full.items()}
    expected, found = on(CPU, weights()), on(device, weights())
    numbers = {"selection": 3.7, "strength": 0.9}
    expected_count = dampen(expected, retain=retain, forget=forget, **numbers)
    count = dampen(found, retain=on(device, retain), forget=on(device, forget), **numbers)
    assert count == expected_count
    assert 0 < count < ENTRIES
    assert all(torch.equal(found[name].cpu(), tensor) for name, tensor in expected.items())
