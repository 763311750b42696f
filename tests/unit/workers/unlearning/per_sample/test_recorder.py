"""What is recorded of a pass: all parameters, nothing that changes the pass, no random ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import stochastic_depth

from models.errors import NonFiniteGradient, NotEvaluable
from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    labelled,
    loop,
    randn,
    randomised,
    uncovered,
    worst_relative_error,
)
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Power
from workers.unlearning.importances import fisher_sums
from workers.unlearning.per_sample import Window
from workers.unlearning.per_sample.recorder import record

DROPOUTS: dict[str, tuple[Callable[..., Tensor], tuple[int, ...]]] = {
    "dropout": (functional.dropout, (4, 3)),
    "dropout1d": (functional.dropout1d, (4, 3, 2)),
    "dropout2d": (functional.dropout2d, (4, 3, 2, 2)),
    "dropout3d": (functional.dropout3d, (4, 3, 2, 2, 2)),
    "alpha_dropout": (functional.alpha_dropout, (4, 3)),
    "feature_alpha_dropout": (functional.feature_alpha_dropout, (4, 3, 2, 2)),
}


def _block() -> nn.Module:
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 5),
        nn.LayerNorm(5),
        nn.PReLU(),
    )
    return randomised(Formula(lambda m, x: m.layers(x) + m.shift, layers=layers, shift=randn(5)))


def test_the_outputs_are_those_of_a_plain_pass() -> None:
    network = _block().double().eval().requires_grad_(False)
    inputs = randn(3, 2, 5, 5)
    window = Window(dict(network.named_parameters()), Power.SQUARE)
    logits, recorder = record(network, inputs, [(slice(None), window)])
    assert torch.equal(logits, network(inputs))
    assert recorder.tape.uncovered == {"layers.7.weight"}


def test_a_network_of_all_kinds_of_layers_is_exact_and_may_be_done_again() -> None:
    network = _block()
    for samples in (3, 1, 3):
        assert_equals_the_loop(
            network, randn(samples, 2, 5, 5), fallback=["layers.7.weight"], batch_size=2
        )


def test_inputs_that_require_gradients_are_only_samples() -> None:
    network = Formula(lambda m, x: m.layer(x + m.shift), layer=nn.Linear(4, 3), shift=randn(4))
    inputs = randn(3, 4)
    plain = fisher_sums(network.double().eval(), [labelled(inputs)])
    inputs.requires_grad_()
    found = fisher_sums(network, [labelled(inputs)])
    assert all(torch.equal(plain[name], found[name]) for name in plain)


def test_samples_are_followed_through_what_has_no_parameters() -> None:
    def formula(m: Any, x: Tensor) -> Tensor:
        first, *others = x.unsqueeze(1).unbind(dim=-1)
        mixed = torch.stack([first, *others], dim=-1).flatten(1)[:, [3, 1, 0, 2]]
        copied = torch.zeros(len(x), 4, dtype=x.dtype).copy_(mixed)
        counted = (x > 0).to(x.dtype) + copied
        return m.layer(counted) + m.shift  # type: ignore[no-any-return]

    network = Formula(formula, layer=nn.Linear(4, 3), shift=randn(3))
    assert_equals_the_loop(network, randn(5, 4))


def test_positions_behind_a_view_are_still_their_samples() -> None:
    def formula(m: Any, x: Tensor) -> Tensor:
        grid = x.view(len(x), 2, 2, 2, 2, 3).permute(0, 1, 3, 2, 4, 5)
        windows = m.layer(grid.reshape(-1, 4, 3))
        back = windows.view(len(x), 2, 2, 2, 2, 3).permute(0, 1, 3, 2, 4, 5)
        return back.reshape(len(x), 16, 3) + m.positions

    network = Formula(formula, layer=nn.Linear(3, 3), positions=randn(16, 3))
    assert_equals_the_loop(network, randn(3, 16, 3))


def test_several_samples_of_one_kind_make_as_many_gradients() -> None:
    network = Formula(lambda m, x: m.layer(x), layer=nn.Linear(4, 3)).double().eval()
    one = fisher_sums(network, [labelled(randn(1, 4))])
    inputs = randn(1, 4).expand(5, 4)
    samples = labelled(inputs)
    samples.labels[:] = 0
    five = fisher_sums(network, [samples])
    torch.testing.assert_close(five["layer.weight"], 5 * one["layer.weight"])


def test_a_parameter_that_is_not_used_is_covered_with_zeros() -> None:
    network = Formula(lambda m, x: x * m.own, own=randn(4), idle=randn(2))
    assert_equals_the_loop(network, randn(3, 4))
    sums = fisher_sums(network, [labelled(randn(3, 4))])
    assert not sums["idle"].any()
    assert sums["own"].all()


@pytest.mark.parametrize("name", DROPOUTS)
def test_a_functional_dropout_that_drops_is_refused(name: str) -> None:
    dropout, sizes = DROPOUTS[name]
    layer = nn.Linear(sizes[-1], 3)
    for drop in (
        lambda x: dropout(x, 0.5, True),
        lambda x: dropout(x, p=0.5, training=True),
    ):
        network = Formula(lambda m, x, drop=drop: m.layer(drop(x)), layer=layer).double().eval()
        with pytest.raises(NotEvaluable, match="activations at random"):
            fisher_sums(network, [labelled(randn(*sizes))])


def test_a_functional_dropout_that_forgets_the_mode_is_refused() -> None:
    network = Formula(lambda m, x: functional.dropout(m.layer(x)), layer=nn.Linear(3, 3))
    with pytest.raises(NotEvaluable, match="activations at random"):
        fisher_sums(network.double().eval(), [labelled(randn(2, 3))])


@pytest.mark.parametrize("name", DROPOUTS)
def test_a_functional_dropout_that_drops_nothing_is_not_in_the_way(name: str) -> None:
    dropout, sizes = DROPOUTS[name]
    layer = nn.Linear(sizes[-1], 3)
    for drop in (
        lambda x: dropout(x, 0.5, False),
        lambda x: dropout(x, p=0.0, training=True),
    ):
        network = Formula(lambda m, x, drop=drop: m.layer(drop(x)), layer=layer)
        assert_equals_the_loop(network, randn(*sizes))


DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "in place": lambda x: torch.dropout_(x.clone(), 0.5, True),
    "native": lambda x: torch.native_dropout(x, 0.5, True)[0],
    "rrelu": lambda x: functional.rrelu(x, training=True),
    "stochastic depth": lambda x: stochastic_depth(x, 0.5, "row", training=True),
    "bernoulli": lambda x: x * torch.bernoulli(torch.full_like(x, 0.5)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_whatever_else_draws_is_refused(name: str) -> None:
    network = Formula(lambda m, x: DRAWS[name](m.layer(x)), layer=nn.Linear(3, 3))
    with pytest.raises(NotEvaluable, match="activations at random"):
        fisher_sums(network.double().eval(), [labelled(randn(4, 3))])


def test_what_would_draw_in_training_only_is_not_in_the_way() -> None:
    def forward(module: Any, inputs: Tensor) -> Tensor:
        kept: Tensor = stochastic_depth(module.layer(inputs), 0.5, "row", training=False)
        return functional.rrelu(kept, training=False)

    assert_equals_the_loop(Formula(forward, layer=nn.Linear(3, 3)), randn(4, 3))


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Dropout2d(0.5), nn.BatchNorm1d(4)])
def test_a_module_in_train_mode_is_refused_by_its_name(layer: nn.Module) -> None:
    network = nn.Sequential(nn.Linear(4, 4), layer).double().eval()
    layer.train()
    with pytest.raises(NotEvaluable, match="'1' is in train mode"):
        fisher_sums(network, [labelled(randn(3, 4))])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_is_named_with_parameter_and_sample(bad: float) -> None:
    # Only the second layer's input is not finite; the first one's gradient is masked out.
    network = Formula(
        lambda m, x: m.second(x[:, 2:]) + m.first(x[:, :2]).where(x[:, 2:].isfinite().all(), 0.0),
        first=nn.Linear(2, 3),
        second=nn.Linear(2, 3, bias=False),
    )
    inputs = randn(5, 4)
    inputs[3, 2] = bad
    with pytest.raises(NonFiniteGradient, match=r"parameter 'second\.weight' .*position 3"):
        fisher_sums(network.double().eval(), [labelled(inputs)])


def test_no_gradient_is_left_on_the_parameters() -> None:
    network = _block().double().eval()
    fisher_sums(network, [labelled(randn(3, 2, 5, 5))])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert uncovered(network, randn(3, 2, 5, 5)) == {"layers.7.weight"}
    assert all(parameter.requires_grad for parameter in network.parameters())


class Written(nn.Module):
    """Builds the sequence by writing into an empty tensor, and a bias by writing into zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(randn(1, 1, 4))
        self.of_query, self.of_value = nn.Parameter(randn(2)), nn.Parameter(randn(1))
        self.embed, self.head = nn.Linear(5, 4), nn.Linear(4, 3, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        sequence = inputs.new_zeros(len(inputs), 3, 4)
        sequence[:, 1:] = self.embed(inputs)
        sequence[:, :1] = self.token
        bias = inputs.new_zeros(3)
        bias[:2] = self.of_query
        bias[2:] = self.of_value
        weight: Tensor = self.head.weight
        return nn.functional.linear(sequence.mean(dim=1), weight, bias)


def test_what_is_written_in_place_is_followed() -> None:
    assert_equals_the_loop(Written(), randn(4, 2, 5), fallback={"token", "of_query", "of_value"})


def test_samples_that_are_written_into_a_constant_are_still_samples() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            wider = inputs.new_zeros(len(inputs), 6)
            wider[:, 1:5] = inputs
            output: Tensor = self.head(wider)
            return output

    assert_equals_the_loop(Padded(), randn(4, 4))


def test_two_parameters_of_one_expression_each_get_their_own_square() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Parameter(randn(4)), nn.Parameter(randn(4))
            self.head = nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            output: Tensor = self.head(inputs + (self.one + self.other))
            return output

    assert_equals_the_loop(Sum(), randn(4, 4))


def test_an_in_place_sum_on_a_view_of_the_samples_is_exact() -> None:
    class OnView(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
            self.shift = nn.Parameter(randn(2))

        def forward(self, inputs: Tensor) -> Tensor:
            hidden = self.body(inputs)
            hidden[:, 2:].add_(self.shift)
            output: Tensor = self.head(hidden)
            return output

    assert_equals_the_loop(OnView(), randn(4, 4), fallback={"shift"})


def test_logits_that_no_sample_has_part_in_are_refused_by_name() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(randn(3))

        def forward(self, inputs: Tensor) -> Tensor:
            return self.bias.expand(len(inputs), 3)

    network = Constant().eval()
    with pytest.raises(NotEvaluable, match="bias"):
        fisher_sums(network, [Batch.of(torch.randn(2, 4), torch.tensor([0, 1]))])


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: functional.batch_norm(x, None, None, training=True),
        nn.BatchNorm1d(4, affine=False, track_running_stats=False).eval(),
        lambda x: torch.dropout(x, 0.5, True),
        lambda x: x * (torch.rand(x.shape) < 0.5),
        lambda x: x + torch.randn_like(x),
        lambda x: x + torch.empty_like(x).normal_(),
        lambda x: x + torch.normal(0.0, 1.0, x.shape),
        lambda x: x[torch.randperm(len(x))],
        lambda x: functional.scaled_dot_product_attention(
            x[:, None], x[:, None], x[:, None], dropout_p=0.5
        )[:, 0],
    ],
)
def test_what_couples_samples_or_is_random_is_refused_without_parameters_too(
    operation: Callable[[Tensor], Tensor],
) -> None:
    class Coupled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            output: Tensor = self.head(operation(inputs))
            return output

    samples = Batch.of(torch.randn(4, 4), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(NotEvaluable, match=r"random|statistics"):
        fisher_sums(Coupled().eval(), [samples])


class Hidden(torch.autograd.Function):
    """A product that no recorder sees."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return inputs * weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        inputs, weight = ctx.saved_tensors
        return gradient * weight, (gradient * inputs).sum(dim=0)


def test_a_parameter_that_is_used_where_nobody_can_look_is_named() -> None:
    network = Formula(
        lambda m, x: m.layer(Hidden.apply(x, m.own)), own=randn(4), layer=nn.Linear(4, 3)
    ).eval()
    network.double()
    with pytest.raises(NotEvaluable, match=r"of own: .* autograd\.Function"):
        fisher_sums(network, [labelled(randn(3, 4))])
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_parameter_that_is_used_like_that_by_a_later_batch_only_is_named() -> None:
    network = Formula(
        lambda m, x: m.layer(Hidden.apply(x, m.own) if x.sum() > 0 else x),
        own=randn(4),
        layer=nn.Linear(4, 3),
    ).eval()
    network.double()
    gentle, other = -torch.rand(2, 4).double(), torch.rand(2, 4).double()
    fisher_sums(network, [labelled(gentle)], batch_size=2)
    with pytest.raises(NotEvaluable, match=r"of own: "):
        fisher_sums(network, [labelled(torch.cat([gentle, other]))], batch_size=2)


class Converting(nn.Module):
    """Computes under autocast: its operations convert their inputs and weights themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16):
            features = torch.relu(self.convolution(inputs)).mean(dim=(2, 3))
            output: Tensor = self.head(features).float()
            return output


def test_a_network_under_autocast_falls_back() -> None:
    torch.manual_seed(0)
    network = Converting().eval()
    samples = labelled(randn(20, 1, 5, 5).float())
    found = fisher_sums(network, [samples])
    assert uncovered(network, samples.inputs) == set(dict(network.named_parameters()))
    assert worst_relative_error(found, loop(network, samples)) <= 0.02


def test_a_network_that_changes_its_input_in_place_is_exact_and_the_samples_are_kept() -> None:
    network = Formula(
        # The slope has no rule: for it, the network is run once more on the same samples.
        lambda m, x: functional.prelu(m.layer(x.sub_(0.3).mul_(2)), m.slope),
        layer=nn.Linear(4, 3),
        slope=randn(1),
    )
    inputs = randn(5, 4)
    assert_equals_the_loop(Cloning(network), inputs, fallback=["network.slope"])
    samples = labelled(inputs)
    found = fisher_sums(network, [samples])
    expected = fisher_sums(Cloning(network).eval(), [samples])
    for name, total in found.items():
        torch.testing.assert_close(total, expected[f"network.{name}"])
    assert torch.equal(samples.inputs, randn(5, 4))


class Cloning(nn.Module):
    """The network on a copy of what it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.network(inputs.clone())
        return output
