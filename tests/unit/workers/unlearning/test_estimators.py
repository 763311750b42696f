"""Estimators: of which loss, to which power, and at which labels."""

import pytest
import torch
from torch import Tensor, nn

from models.specifications import (
    EmpiricalEstimator,
    EstimatorSpec,
    LabelFreeEstimator,
    PredictiveEstimator,
)
from tests.unit.workers.unlearning.oracles import (
    assert_equals_the_loop,
    cross_entropy,
    oracle,
    randn,
    squared_norm,
    worst_relative_error,
)
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import (
    Estimator,
    Power,
    empirical,
    estimator_of,
    label_free,
    predictive,
)
from workers.unlearning.importances import Provenance, Sums, fisher_sums

CLASSES = 3


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, CLASSES)).double().eval()


def _samples(count: int, first: int = 0) -> Batch:
    inputs = randn(count, 4)
    return Batch(inputs, torch.arange(count) % CLASSES, torch.arange(first, first + count))


def _sums(network: nn.Module, samples: Batch, estimator: Estimator, batch_size: int = 64) -> Sums:
    return fisher_sums(network, [samples], estimator=estimator, batch_size=batch_size)


def test_the_empirical_estimator_is_the_one_without_a_choice() -> None:
    network, samples = _network(), _samples(7)
    found = _sums(network, samples, empirical())
    expected = oracle(network, samples, cross_entropy)
    assert worst_relative_error(found, expected) <= 1e-12
    default = fisher_sums(network, [samples])
    assert all(torch.equal(default[name], found[name]) for name in found)


def test_the_label_free_estimator_sums_absolute_gradients_of_the_outputs_squared_norm() -> None:
    network, samples = _network(), _samples(7)
    found = _sums(network, samples, label_free())
    expected = oracle(network, samples, squared_norm, absolute=True)
    assert worst_relative_error(found, expected) <= 1e-12


def test_the_label_free_estimator_does_not_look_at_labels() -> None:
    network, samples = _network(), _samples(7)
    others = Batch(samples.inputs, samples.labels.flip(0), samples.positions)
    found, again = (_sums(network, some, label_free()) for some in (samples, others))
    assert all(torch.equal(found[name], again[name]) for name in found)


def test_the_predictive_estimator_does_not_look_at_labels() -> None:
    network, samples = _network(), _samples(7)
    others = Batch(samples.inputs, samples.labels.flip(0), samples.positions)
    found, again = (_sums(network, some, predictive(3)) for some in (samples, others))
    assert all(torch.equal(found[name], again[name]) for name in found)


def test_the_predictive_estimator_squares_gradients_at_a_label_for_every_sample() -> None:
    network, samples = _network(), _samples(1)
    found = _sums(network, samples, predictive(0))
    possible = [
        oracle(network, Batch(samples.inputs, torch.tensor([label]), samples.positions))
        for label in range(CLASSES)
    ]
    assert sum(worst_relative_error(found, sums) <= 1e-12 for sums in possible) == 1


def test_a_draw_depends_on_seed_and_position_not_on_the_batch() -> None:
    network, samples = _network(), _samples(20, first=1000)
    whole = _sums(network, samples, predictive(5))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    shuffled = Batch(samples.inputs[order], samples.labels[order], samples.positions[order])
    for batch_size in (1, 3, 64):
        found = _sums(network, shuffled, predictive(5), batch_size)
        assert worst_relative_error(found, whole) <= 1e-12
    alone = [_sums(network, samples.part(row, row + 1), predictive(5)) for row in range(20)]
    total = {name: sum((one[name] for one in alone), torch.zeros(())) for name in whole}
    assert worst_relative_error(total, whole) <= 1e-12


def test_other_seeds_and_other_positions_draw_otherwise() -> None:
    network, samples = _network(), _samples(20)
    first = _sums(network, samples, predictive(0))
    assert worst_relative_error(_sums(network, samples, predictive(1)), first) > 1e-3
    elsewhere = _samples(20, first=500)
    assert worst_relative_error(_sums(network, elsewhere, predictive(0)), first) > 1e-3


@pytest.mark.parametrize("many", ["seeds", "positions"])
def test_many_draws_average_to_the_true_fisher(many: str) -> None:
    network, samples = _network(), _samples(4)
    exact = _true_fisher(network, samples)
    draws = 4000 if many == "positions" else 200
    repeats = draws if many == "positions" else 1
    # Every sample again and again, each time at another position of its dataset.
    inputs = samples.inputs.repeat(repeats, 1)
    repeated = Batch.of(inputs, torch.zeros(len(inputs), dtype=torch.int64))
    seeds = range(draws // repeats)
    total = {name: torch.zeros_like(tensor) for name, tensor in exact.items()}
    for seed in seeds:
        for name, tensor in _sums(network, repeated, predictive(seed), 256).items():
            total[name] += tensor / draws
    assert worst_relative_error(total, exact) <= (0.05 if many == "positions" else 0.2)
    # The labels that are there are not the labels that are drawn.
    at_labels = oracle(network, samples)
    assert worst_relative_error(at_labels, exact) > 0.2


def test_a_label_of_no_probability_is_never_drawn_and_a_sure_one_always() -> None:
    batch = Batch.of(torch.zeros(500, 1), torch.zeros(500, dtype=torch.int64))
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf]).repeat(500, 1)
    # The gradient of a label that is certain is 0; of any other it would not be.
    assert not predictive(0).output_gradients(logits, batch).any()


def test_labels_are_drawn_as_often_as_they_are_predicted() -> None:
    count = 20_000
    batch = Batch.of(torch.zeros(count, 1), torch.zeros(count, dtype=torch.int64))
    predicted = torch.tensor([0.6, 0.1, 0.3], dtype=torch.float64)
    gradients = predictive(7).output_gradients(predicted.log().repeat(count, 1), batch)
    # Negative at the label alone.
    drawn = gradients.argmin(dim=1)
    shares = [float((drawn == label).double().mean()) for label in range(3)]
    assert shares == pytest.approx(predicted.tolist(), abs=0.015)


@pytest.mark.parametrize(
    ("spec", "name", "power", "parameters"),
    [
        (EmpiricalEstimator(), "empirical", Power.SQUARE, {}),
        (LabelFreeEstimator(), "label_free", Power.ABSOLUTE, {}),
        (PredictiveEstimator(), "predictive", Power.SQUARE, {"seed": 0}),
        (PredictiveEstimator(seed=2**62), "predictive", Power.SQUARE, {"seed": 2**62}),
    ],
)
def test_every_specification_names_an_estimator(
    spec: EstimatorSpec, name: str, power: Power, parameters: dict[str, int]
) -> None:
    estimator = estimator_of(spec)
    assert (estimator.name, estimator.power) == (name, power)
    provenance = Provenance.of(estimator, weights="w", manifest="m", device="cpu")
    assert provenance.estimator == name
    assert provenance.estimator_parameters == parameters


def test_a_specified_seed_is_the_one_that_draws() -> None:
    network, samples = _network(), _samples(20)
    specified = _sums(network, samples, estimator_of(PredictiveEstimator(seed=9)))
    direct = _sums(network, samples, predictive(9))
    assert all(torch.equal(specified[name], direct[name]) for name in direct)


@pytest.mark.parametrize("power", Power)
def test_the_ways_to_a_power_agree(power: Power) -> None:
    gradient = randn(3, 4)
    expected = gradient.abs() if power is Power.ABSOLUTE else gradient * gradient
    assert torch.equal(power.of(gradient), expected)
    total = torch.ones_like(gradient)
    power.add_to(total, gradient)
    torch.testing.assert_close(total, 1 + expected)
    overwritten = gradient.clone()
    assert power.of_(overwritten) is overwritten
    assert torch.equal(overwritten, expected)


def test_every_kind_of_layer_serves_every_power() -> None:
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(16, 4), nn.PReLU(4)
    )
    assert_equals_the_loop(layers, randn(5, 2, 4, 4), fallback=["4.weight"])


def _true_fisher(network: nn.Module, samples: Batch) -> dict[str, Tensor]:
    """Σ over samples and labels of p(label) · (∂ −log p(label) / ∂ w)²."""
    sums = {
        name: torch.zeros_like(p, requires_grad=False) for name, p in network.named_parameters()
    }
    for row in range(len(samples)):
        with torch.no_grad():
            shares = network(samples.inputs[row : row + 1])[0].softmax(dim=0)
        for label, share in enumerate(shares):
            one = Batch.of(samples.inputs[row : row + 1], torch.tensor([label]))
            for name, squares in oracle(network, one).items():
                sums[name] += share * squares
    return sums
