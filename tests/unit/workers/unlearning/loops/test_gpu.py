"""Which tensors are for the GPU's loops, and that their callers use them then."""

import logging

import pytest
import torch

from tests.unit.workers.unlearning.spreads import shared, spread, uniform
from workers.unlearning import dampening
from workers.unlearning.dampening import Population, dampen, scale, tighten_tensor
from workers.unlearning.estimators import Power
from workers.unlearning.loops.gpu import can_compile, is_fused, load_compiler
from workers.unlearning.per_sample import window
from workers.unlearning.per_sample.window import Window

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
SIZE = 3000
NUMBERS = {"selection": 3.7, "strength": 0.9}


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors are taken for a GPU's."""
    for module in (dampening, window):
        monkeypatch.setattr(module, "is_compiled", lambda *tensors: False)
        monkeypatch.setattr(module, "is_fused", lambda *tensors: True)
    monkeypatch.setattr(window, "LARGE_ON_GPU", 1)


def test_tensors_in_main_memory_are_not_for_a_gpu() -> None:
    assert not is_fused(torch.ones(3))


def test_where_the_loops_cannot_run_that_is_said_and_they_are_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    can_compile.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not can_compile()
        assert not can_compile()
    (message,) = caplog.messages
    assert message.startswith("Loops for the GPU cannot be compiled")


def test_dampening_uses_the_loops(as_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    full = spread(0, SIZE)
    forget = shared(full, 2)
    weights, population = (uniform(4, SIZE) - 0.5).float(), Population(1000, 77)

    def dampened() -> tuple[int, int, list[torch.Tensor]]:
        factors, in_place = torch.ones_like(full), weights.clone()
        count = tighten_tensor(factors, full, forget, population, **NUMBERS)
        also = dampen({"w": in_place}, retain={"w": full - forget}, forget={"w": forget}, **NUMBERS)
        return count, also, [factors, in_place, scale(weights, factors)]

    *counts, found = dampened()
    for module in (dampening, window):
        monkeypatch.setattr(module, "is_fused", lambda *tensors: False)
    *expected_counts, expected = dampened()
    assert counts == expected_counts
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", Power)
@pytest.mark.parametrize("size", [window.LARGE, 10])
def test_a_window_adds_samples_gradients_by_the_loop(
    as_on_a_gpu: None, dtype: torch.dtype, power: Power, size: int
) -> None:
    into = Window({"w": torch.zeros(size)}, power, dtype)
    gradients = (uniform(0, 5, size) - 0.5).float()
    into.add("w", gradients.clone())
    expected = power.of(gradients.double()).sum(dim=0)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(into.sums["w"].double(), expected, rtol=tolerance, atol=0)


def test_loading_the_compiler_touches_no_gpu_so_a_process_may_fork_after_it() -> None:
    load_compiler()
    assert not torch.cuda.is_initialized()
