"""Operations that no rule knows: the same sums, by vmap, for their parameters alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import NonFiniteGradient, NotEvaluable
from models.specifications import ESTIMATORS
from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    labelled,
    loop,
    randn,
    uncovered,
    worst_relative_error,
)
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import add_sums, fisher_sums, zero_sums

USES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "einsum": lambda m, x: torch.einsum("bi,ij->bj", x, m.own),
    "matmul": lambda m, x: x @ m.own,
    "addmm": lambda m, x: torch.addmm(m.own[0], x, m.own),
    "subtraction": lambda m, x: m.own[1] - x,
    "the same for all entries": lambda m, x: x - m.own.sum(),
    "division": lambda m, x: x / m.own[1].exp(),
    "scaled sum": lambda m, x: torch.add(x, m.own[0], alpha=2),
    "where": lambda m, x: torch.where(x > 0, m.own[0], x),
    "prelu": lambda m, x: functional.prelu(x, m.own[0]),
    "index": lambda m, x: x + m.own[x.argmax(dim=1)],
    "product in place": lambda m, x: x.clone().mul_(m.own[2]),
    "power": lambda m, x: x.abs() ** m.own[3].abs(),
    "minimum": lambda m, x: torch.minimum(x, m.own[0]),
}


@pytest.mark.parametrize("use", USES)
# Vectorised in parts of eight.
@pytest.mark.parametrize("samples", [1, 3, 17])
def test_an_operation_without_a_rule_gets_the_right_sums(use: str, samples: int) -> None:
    network = Formula(lambda m, x: USES[use](m, m.layer(x)), own=randn(4, 4), layer=nn.Linear(4, 4))
    assert_equals_the_loop(network, randn(samples, 4, seed=1), fallback=["own"])


def test_a_module_without_a_rule_leaves_all_others_to_theirs() -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.PReLU(5), nn.LayerNorm(5), nn.Linear(5, 3))
    assert_equals_the_loop(network, randn(6, 4), fallback=["1.weight"])


# It says that it is slow, not that it is wrong.
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_a_bilinear_layer_gets_the_right_sums() -> None:
    network = Formula(lambda m, x: m.layer(x, x.sin()), layer=nn.Bilinear(4, 4, 3))
    assert_equals_the_loop(network, randn(6, 4), fallback=["layer.weight", "layer.bias"])


@pytest.mark.parametrize("power", ["empirical", "label_free"])
def test_parameters_that_vmap_gives_one_gradient_get_the_right_sums_each(power: str) -> None:
    network = (
        Formula(
            lambda m, x: m.layer(torch.addcmul(m.own + m.other, x, torch.ones(()))),
            own=randn(4),
            other=randn(4, seed=2),
            layer=nn.Linear(4, 3),
        )
        .eval()
        .float()
    )
    samples = labelled(randn(12, 4, seed=1).float())
    estimator = estimator_of(ESTIMATORS[power])
    sums = fisher_sums(network, [samples], estimator=estimator)
    assert torch.equal(sums["own"], sums["other"])
    loop = zero_sums(network)
    for row in range(len(samples)):
        one = [samples.part(row, row + 1)]
        add_sums(loop, fisher_sums(network, one, estimator=estimator))
    assert torch.allclose(sums["own"], loop["own"], rtol=1e-5)


def test_a_recurrent_layer_gets_the_right_sums() -> None:
    network = (
        Formula(
            lambda m, x: m.layer(m.recurrent(x)[0][:, -1]),
            recurrent=nn.LSTM(3, 5, batch_first=True),
            layer=nn.Linear(5, 3),
        )
        .eval()
        .float()
    )
    samples = labelled(randn(12, 6, 3, seed=1).float())
    found = fisher_sums(network, [samples])
    assert worst_relative_error(found, loop(network, samples)) <= 1e-4


@pytest.mark.parametrize("step", [1, 3, 8])
def test_reproducible_sums_do_not_show_how_samples_came(step: int) -> None:
    network = (
        Formula(
            lambda m, x: m.layer(torch.relu(x @ m.own)), own=randn(30, 20), layer=nn.Linear(20, 4)
        )
        .eval()
        .float()
    )
    samples = labelled(randn(24, 30, seed=1).float())
    whole = fisher_sums(network, [samples], reproducible=True)
    parts = zero_sums(network)
    for start in range(0, len(samples), step):
        some = [samples.part(start, start + step)]
        add_sums(parts, fisher_sums(network, some, reproducible=True))
    for name, total in whole.items():
        assert torch.allclose(total, parts[name], rtol=1e-13, atol=0)


def test_a_module_that_is_there_twice_is_left_as_it_was() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    network = nn.Sequential(shared, nn.ReLU(), shared, nn.Flatten(), nn.Linear(64, 3))
    assert_equals_the_loop(network, randn(20, 4, 4, 4), fallback=["0.weight", "0.bias"])
    assert isinstance(shared.weight, nn.Parameter)
    assert isinstance(shared.bias, nn.Parameter)


def test_a_weight_computed_by_a_parametrisation_gets_the_right_sums() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    names = {name for name, _ in layer.named_parameters()}
    assert_equals_the_loop(layer, randn(5, 4), fallback=names)


def test_a_parameter_used_once_with_a_rule_and_once_without_squares_its_whole_gradient() -> None:
    for formula in (
        lambda m, x: functional.linear(x, m.own) + x @ m.own,
        lambda m, x: x @ m.own + functional.linear(x, m.own),
    ):
        network = Formula(formula, own=randn(4, 4))
        assert_equals_the_loop(network, randn(5, 4, seed=1), fallback=["own"])


def test_a_parameter_used_by_two_operations_with_rules_squares_its_whole_gradient() -> None:
    network = Formula(
        lambda m, x: functional.layer_norm(x * m.own, (4,), m.own) + m.own, own=randn(4)
    )
    assert_equals_the_loop(network, randn(5, 4, seed=1), fallback=["own"])


def test_a_look_up_and_a_product_of_one_table_square_its_whole_gradient() -> None:
    tokens = torch.randint(4, (5, 3), generator=torch.Generator().manual_seed(0))
    network = Formula(
        lambda m, x: functional.embedding(x, m.own) @ m.own.t() + m.other,
        own=randn(4, 3),
        other=randn(4, seed=1),
    )
    assert_equals_the_loop(network, tokens, fallback=["own"])


def test_tied_parameters_fall_back_under_one_name() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.second = nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, inputs: Tensor) -> Tensor:
            return self.first(inputs) + torch.sin(inputs) @ self.second.weight + self.second.bias

    assert_equals_the_loop(Tied(), randn(5, 3), fallback=["first.weight"])


def _stopped(m: Any, x: Tensor) -> Tensor:
    found = x @ m.own
    return found if found.sum().item() > 0 else -found


def test_what_cannot_be_vectorised_is_refused_naming_the_parameters() -> None:
    network = Formula(_stopped, own=randn(4, 4), other=randn(4)).eval()
    with pytest.raises(NotEvaluable, match=r"gradients can be found of own: ") as caught:
        fisher_sums(network, [labelled(randn(3, 4))])
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_recurrent_layer_is_refused_naming_its_parameters() -> None:
    network = Formula(lambda m, x: m.layer(x)[0], layer=nn.GRU(3, 2, batch_first=True))
    network.double().eval()
    inputs = randn(4, 5, 3)
    assert uncovered(network, inputs) == {
        f"layer.{name}" for name, _ in network.get_submodule("layer").named_parameters()
    }
    with pytest.raises(NotEvaluable, match=r"layer\.weight_hh_l0, layer\.weight_ih_l0"):
        fisher_sums(network, [labelled(inputs)])


def test_a_gradient_that_is_not_finite_is_named_with_its_sample() -> None:
    # The root of zero has an infinite slope.
    network = Formula(lambda m, x: ((x - 1).square() @ m.own).sqrt(), own=torch.ones(2, 3).double())
    inputs = randn(6, 2)
    inputs[4] = 1.0
    with pytest.raises(NonFiniteGradient, match=r"parameter 'own' .*position 4"):
        fisher_sums(network.eval(), [labelled(inputs)])
