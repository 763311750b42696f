"""How many samples a pass has."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from workers.unlearning import passes
from workers.unlearning.passes import passes_on, reproducible_size

CPU = passes_on(torch.device("cpu"))


class Wasteful(nn.Linear):
    """A layer that is used again and again."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__(width, width)
        self.times = times

    def forward(self, inputs: Tensor) -> Tensor:
        for _ in range(self.times):
            inputs = super().forward(inputs)
        return inputs


def of_operations(operations: int, width: int = 1000) -> tuple[nn.Module, Tensor]:
    """A network that needs about as many for a sample, and a sample; they are only counted."""
    with torch.device("meta"):
        return Wasteful(width, operations // (2 * width**2)), torch.zeros(1, width)


def test_a_cheap_network_has_large_passes() -> None:
    assert reproducible_size(nn.Linear(3, 2), torch.zeros(1, 3)) == CPU.most


def test_a_single_sample_of_a_dear_network_fills_a_small_pass() -> None:
    assert reproducible_size(*of_operations(CPU.operations)) == CPU.fewest


@pytest.mark.parametrize("size", [16, 32])
def test_a_pass_is_as_large_as_its_bound_allows(size: int) -> None:
    below = CPU.operations // size - 10**7
    above = CPU.operations // size + 10**7
    assert reproducible_size(*of_operations(below)) == size
    assert reproducible_size(*of_operations(above)) == size // 2


@pytest.mark.parametrize(("share", "size"), [(1.1, 128), (0.9, 256), (3.9, 64), (100, 64)])
def test_on_a_gpu_it_is_larger(share: float, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # There need be none here: its sizes are tried on the CPU.
    monkeypatch.setitem(passes.PASSES, "cpu", passes.PASSES["cuda"])
    whole = passes.PASSES["cuda"].operations // 256
    assert reproducible_size(*of_operations(int(share * whole), width=10_000)) == size


def test_a_device_that_nothing_is_said_of_has_the_passes_of_a_processor() -> None:
    assert passes_on(torch.device("mps")) == CPU


def test_it_depends_on_the_size_of_images() -> None:
    network = resnet18(num_classes=10).eval()
    assert reproducible_size(network, torch.zeros(1, 3, 32, 32)) == CPU.most
    assert reproducible_size(network, torch.zeros(1, 3, 224, 224)) == CPU.fewest


def test_the_sample_and_the_network_are_left_as_they_were() -> None:
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sample = torch.full((1, 3), -1.0)
    reproducible_size(network, sample)
    assert torch.equal(sample, torch.full((1, 3), -1.0))
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
