"""The loops for GPUs, interpreted on the CPU, against tensor operations and the CPU's own loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workers.unlearning.spreads import shared, spread, uniform
from workers.unlearning.dampening import Population, dampen, scale, tighten_tensor
from workers.unlearning.estimators import Power

pytest.importorskip("triton", reason="PyTorch brings Triton for some machines only")

from workers.unlearning.loops import gpu_kernels

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="on a machine with a GPU, tests/gpu runs them there"
)
BLOCKS = [1, 100, gpu_kernels.BLOCK, gpu_kernels.BLOCK + 1]


@given(
    samples=st.integers(0, 3 * gpu_kernels.AT_ONCE),
    size=st.integers(1, 2 * gpu_kernels.FEW),
    power=st.sampled_from(Power),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_powers_of_any_number_of_samples_are_added_to_what_there_is(
    samples: int, size: int, power: Power, dtype: torch.dtype
) -> None:
    total = uniform(0, size).to(dtype)
    gradients = (uniform(1, samples, size) - 0.5).float()
    expected = total.double() + power.of(gradients.double()).sum(dim=0)
    gpu_kernels.add_powers(total, gradients, power)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(total.double(), expected, rtol=tolerance, atol=0)


@pytest.mark.parametrize("size", BLOCKS)
def test_factors_have_the_bits_of_the_cpus_loop(size: int) -> None:
    full = spread(0, size)
    forget = shared(full, 2)
    found, expected = uniform(4, size), uniform(4, size)
    numbers = {"selection": 3.7, "strength": 0.9}
    count = tighten_tensor(expected, full, forget, Population(1000, 77), **numbers)
    assert (
        gpu_kernels.tighten(
            found, full, forget, retained=923, forgotten=77, rounding=1e-6, **numbers
        )
        == count
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("size", BLOCKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_scaled_to_the_bits_of_the_cpus_loop(size: int, dtype: torch.dtype) -> None:
    weights, factors = (uniform(0, size) - 0.5).to(dtype), uniform(1, size)
    assert torch.equal(gpu_kernels.scale(weights, factors), scale(weights, factors))


@pytest.mark.parametrize("size", BLOCKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_cohort_is_dampened_in_place_to_the_bits_of_the_cpus_loop(
    size: int, dtype: torch.dtype
) -> None:
    full = spread(0, size)
    forget = shared(full, 2).to(dtype)
    retain = (full - forget).clamp(min=0).to(dtype)
    found = (uniform(4, size) - 0.5).float()
    expected = {"w": found.clone()}
    numbers = {"selection": 3.7, "strength": 0.9}
    count = dampen(expected, retain={"w": retain}, forget={"w": forget}, **numbers)
    assert gpu_kernels.dampen(found, retain, forget, **numbers) == count
    assert torch.equal(found, expected["w"])
