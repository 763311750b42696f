"""What powers of gradients are summed in, whatever the network's own precision."""

import pytest
import torch
from torch import Tensor, nn

from tests.unit.workers.unlearning.oracles import labelled, randn, worst_relative_error
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator, Power, empirical, label_free
from workers.unlearning.importances import Sums, fisher_sums
from workers.unlearning.per_sample import Window, window


class Rounded(nn.Module):
    """Converts its inputs to its own precision, and has layers of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.ReLU(),
            nn.GroupNorm(2, 8),
            nn.Flatten(),
            nn.Linear(8 * 4 * 4, 130),
            nn.ReLU(),
            # Large enough for a loop of its own, if that could work on such numbers.
            nn.Linear(130, 130),
        )
        self.head = nn.Linear(130, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.head(self.layers(inputs.to(self.head.weight.dtype)))
        return output


def one_by_one(network: nn.Module, samples: Batch, estimator: Estimator) -> Sums:
    """Gradients in the network's own precision, their powers in float64."""
    parameters = dict(network.named_parameters())
    sums = {name: torch.zeros(p.shape, dtype=torch.float64) for name, p in parameters.items()}
    for row in range(len(samples)):
        sample = samples.part(row, row + 1)
        logits = network(sample.inputs)
        of_logits = estimator.output_gradients(logits, sample).to(logits.dtype)
        gradients = torch.autograd.grad(logits, list(parameters.values()), of_logits)
        for total, gradient in zip(sums.values(), gradients, strict=True):
            total.add_(estimator.power.of(gradient.double()))
    return sums


@pytest.mark.parametrize("reproducible", [False, True])
@pytest.mark.parametrize("estimator", [empirical(), label_free()], ids=lambda each: each.name)
@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 4e-3), (torch.float16, 5e-4)])
def test_a_network_in_half_precision_has_the_sums_of_its_samples_one_by_one(
    dtype: torch.dtype, error: float, estimator: Estimator, reproducible: bool
) -> None:
    network = Rounded().eval().to(dtype)
    assert network.layers[6].weight.numel() >= window.LARGE
    samples = labelled(randn(300, 1, 6, 6).float())
    found = fisher_sums(network, [samples], estimator=estimator, reproducible=reproducible)
    assert all(total.dtype is torch.float64 for total in found.values())
    assert worst_relative_error(found, one_by_one(network, samples, estimator)) <= error


@pytest.mark.parametrize(
    ("own", "summed"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_powers_are_summed_in_float32_at_least(own: torch.dtype, summed: torch.dtype) -> None:
    parameters = {"weight": torch.ones(2, dtype=own)}
    assert Window(parameters, Power.SQUARE).sums["weight"].dtype is summed
    wide = Window(parameters, Power.SQUARE, torch.float64)
    assert wide.sums["weight"].dtype is torch.float64
