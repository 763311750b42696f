"""Importances of batches, as the authors of SSD compute them."""

import pytest
import torch
from torch import Tensor, nn

from benchmarks.experiments.batch_gradients import squared_batch_gradients
from workers.unlearning.batches import Batch


def slowly(network: nn.Module, samples: Batch, batch_size: int) -> dict[str, Tensor]:
    """The mean over samples first, one sample at a time; then the square; then over batches."""
    squares: dict[str, list[Tensor]] = {name: [] for name, _ in network.named_parameters()}
    for start in range(0, len(samples), batch_size):
        batch = samples.part(start, start + batch_size)
        of_samples = []
        for row in range(len(batch)):
            one = batch.part(row, row + 1)
            loss = nn.functional.cross_entropy(network(one.inputs), one.labels)
            of_samples.append(torch.autograd.grad(loss, list(network.parameters())))
        for index, name in enumerate(squares):
            gradients = torch.stack([gradients[index] for gradients in of_samples])
            squares[name].append(gradients.mean(dim=0) ** 2)
    return {name: torch.stack(each).mean(dim=0) for name, each in squares.items()}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 3)).eval()


@pytest.mark.parametrize("batch_size", [1, 4, 11, 20])
def test_they_equal_a_loop_over_samples_whatever_the_batch(
    network: nn.Module, batch_size: int
) -> None:
    samples = Batch.of(torch.randn(11, 3, 2, 2), torch.arange(11) % 3)
    fast = squared_batch_gradients(network, samples, batch_size)
    for name, expected in slowly(network, samples, batch_size).items():
        torch.testing.assert_close(fast[name], expected)


def test_they_depend_on_the_order_of_samples_unlike_sums_of_samples(network: nn.Module) -> None:
    samples = Batch.of(torch.randn(8, 3, 2, 2), torch.arange(8) % 3)
    turned = Batch.of(samples.inputs.roll(1, 0), samples.labels.roll(1, 0))
    one, other = (squared_batch_gradients(network, each, 4) for each in (samples, turned))
    assert not torch.allclose(one["1.weight"], other["1.weight"], rtol=1e-2)
