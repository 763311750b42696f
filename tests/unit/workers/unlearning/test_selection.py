"""On a trained network: which weights SSD selects is not the batched pass's doing."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from demo.training import fit
from models.specifications import ArchitectureSpec
from tests.unit.workers.unlearning.oracles import oracle
from workers.architectures import build
from workers.unlearning.batches import Batch
from workers.unlearning.dampening import Population, dampening_factors, retain_sums
from workers.unlearning.importances import Sums, fisher_sums

COUNT = 300
FORGOTTEN_LABEL = 3


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Batch]:
    """A small residual network, and the digits that it has learnt."""
    bunch = load_digits()
    images = torch.from_numpy(bunch.images[:COUNT]).float()[:, None] / 8 - 1
    labels = torch.from_numpy(bunch.target[:COUNT]).long()
    spec = ArchitectureSpec(
        name="small_resnet", num_classes=10, options={"in_channels": 1, "width": 8}
    )
    torch.manual_seed(0)
    network = build(spec)
    fit(network, images, labels, epochs=8, learning_rate=0.1)
    network.eval()
    with torch.no_grad():
        accuracy = (network(images).argmax(dim=1) == labels).float().mean()
    assert accuracy > 0.9
    return network, Batch.of(images, labels)


@pytest.fixture(scope="module")
def by_loop(trained: tuple[nn.Module, Batch]) -> tuple[Sums, Sums]:
    """Sums over all samples and over those to forget, by definition, in float64."""
    network, samples = trained
    rows = samples.labels == FORGOTTEN_LABEL
    forget = oracle(network, _of(samples, rows))
    retain = oracle(network, _of(samples, ~rows))
    return {name: forget[name] + retain[name] for name in forget}, forget


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "reproducible"])
def by_passes(
    request: pytest.FixtureRequest, trained: tuple[nn.Module, Batch]
) -> tuple[Sums, Sums]:
    """The same from batched passes, in float32."""
    network, samples = trained
    forgotten = _of(samples, samples.labels == FORGOTTEN_LABEL)
    full = fisher_sums(network, [samples], reproducible=request.param)
    return full, fisher_sums(network, [forgotten], reproducible=request.param)


@pytest.mark.parametrize("alpha", [1, 5, 10])
def test_the_same_weights_are_selected_as_by_the_float64_loop(
    trained: tuple[nn.Module, Batch],
    by_loop: tuple[Sums, Sums],
    by_passes: tuple[Sums, Sums],
    alpha: float,
) -> None:
    forgotten = int((trained[1].labels == FORGOTTEN_LABEL).sum())
    population = Population(total=COUNT, forgotten=forgotten)
    full, forget = by_passes
    expected_full, expected_forget = by_loop
    selected = 0
    for name, total in full.items():
        mine = _selected(total, forget[name], population, alpha)
        expected = _selected(expected_full[name], expected_forget[name], population, alpha)
        assert torch.equal(mine, expected), name
        factors = dampening_factors(total, forget[name], population, selection=alpha, strength=1.0)
        # With λ = 1 ≤ α, what is selected is what is dampened.
        assert torch.equal(factors < 1, expected), name
        selected += int(mine.sum())
    assert 0 < selected < sum(total.numel() for total in full.values())


def _of(samples: Batch, rows: Tensor) -> Batch:
    return Batch(samples.inputs[rows], samples.labels[rows], samples.positions[rows])


def _selected(full: Tensor, forget: Tensor, population: Population, alpha: float) -> Tensor:
    retain = retain_sums(full, forget) / (population.total - population.forgotten)
    return forget / population.forgotten > alpha * retain
