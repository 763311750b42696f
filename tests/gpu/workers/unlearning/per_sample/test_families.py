"""Families of torchvision's networks on the GPU, against the float64 loop on the CPU.

Between them they take every rule's path for devices: unfolded and grouped convolutions, kernels
with one position left, attention both PyTorch's and taken apart, tables of position biases.
"""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from tests.gpu.networks import Family, moved, on_cpu
from tests.unit.workers.unlearning.oracles import oracle, uncovered, worst_relative_error
from workers.unlearning.batches import Batch
from workers.unlearning.importances import Sums, fisher_sums

SAMPLES = 2
FAMILIES = [
    Family("resnet18", 32, seed=16),
    Family("resnet18", 16, {"cifar_stem": True}, seed=6),
    Family("mobilenet_v2", 32, seed=20),
    Family("convnext_tiny", 32, seed=4),
    Family("swin_t", 32),
    Family("vit_b_16", 32, {"image_size": 32}),
]


@dataclass(frozen=True)
class Case:
    """A network and samples on the CPU, and their sums by definition."""

    network: nn.Module
    samples: Batch
    expected: Sums


def _name(family: Family) -> str:
    return "-".join([family.architecture, *family.options])


@pytest.fixture(scope="module", params=FAMILIES, ids=_name)
def case(request: pytest.FixtureRequest) -> Case:
    """One family; the loop is run once for all tests of it."""
    network, samples = request.param.make(SAMPLES)
    expected = oracle(network, samples)
    assert all(total.any() for total in expected.values())
    return Case(network, samples, expected)


def test_in_float64_a_family_needs_no_fallback_and_equals_the_loop(
    case: Case, device: torch.device
) -> None:
    network, samples = moved(case.network, case.samples, device, torch.float64)
    assert uncovered(network, samples.inputs[:1]) == set()
    found = fisher_sums(network, [samples])
    # In float64 nothing but the rules can be wrong.
    assert worst_relative_error(on_cpu(found), case.expected) <= 1e-10


@pytest.mark.parametrize("reproducible", [False, True])
def test_in_float32_a_family_equals_the_float64_loop_but_for_rounding(
    case: Case, device: torch.device, reproducible: bool
) -> None:
    network, samples = moved(case.network, case.samples, device, torch.float32)
    found = fisher_sums(network, [samples], reproducible=reproducible)
    assert worst_relative_error(on_cpu(found), case.expected) <= 5e-6
