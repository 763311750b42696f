"""Parameters that lie in memory, or are used, as the fast paths do not expect it."""

import pytest
import torch
from torch import Tensor, nn

from tests.unit.workers.unlearning.oracles import labelled, oracle, worst_relative_error
from workers.unlearning.importances import fisher_sums

CLASSES = 3


def test_parameters_that_lie_transposed_in_memory_are_exact() -> None:
    layer = nn.Linear(16, 8)
    layer.weight = nn.Parameter(torch.randn(16, 8).t())
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(32, CLASSES)).eval()
    samples = labelled(torch.randn(3, 4, 16))
    found = fisher_sums(network, [samples])
    assert worst_relative_error(found, oracle(network, samples)) <= 1e-5


def test_a_parameter_without_entries_has_sums_without_entries() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, CLASSES))
    network.register_parameter("nothing", nn.Parameter(torch.empty(0, 3)))
    samples = labelled(torch.randn(3, 4))
    assert fisher_sums(network.eval(), [samples])["nothing"].shape == (0, 3)


@pytest.mark.parametrize("reproducible", [False, True])
def test_a_kernel_is_exact_when_one_of_its_uses_is_not_tiled(reproducible: bool) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(4, 2, 3, 3))
            self.head = nn.Linear(4, CLASSES)

        def forward(self, images: Tensor) -> Tensor:
            features = nn.functional.conv2d(images, self.kernel)
            features = features + nn.functional.conv2d(images, self.kernel, padding="valid")
            logits: Tensor = self.head(features.mean(dim=(2, 3)))
            return logits

    network = Mixed().eval()
    samples = labelled(torch.randn(5, 2, 6, 6))
    found = fisher_sums(network, [samples], reproducible=reproducible)
    assert worst_relative_error(found, oracle(network, samples)) <= 1e-5
