"""Parameters that meet the samples directly, and what is computed from parameters alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    randn,
    randomised,
)

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "x + p": lambda x, p: x + p,
    "p + x": lambda x, p: p + x,
    "torch.add": torch.add,
    "x.add": lambda x, p: x.add(p),
    "x.add_": lambda x, p: x.clone().add_(p),
    "x * p": lambda x, p: x * p,
    "p * x": lambda x, p: p * x,
    "torch.mul": torch.mul,
    "x.mul": lambda x, p: x.mul(p),
}


@st.composite
def broadcasts(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of samples, the first dimension not counted, and of a parameter for them."""
    sizes = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    ones = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    # Where the samples have 1, the parameter may be what is larger.
    own = [
        draw(st.integers(1, 3)) if s == 1 else (1 if o else s)
        for s, o in zip(sizes, ones, strict=True)
    ]
    left_out = draw(st.integers(0, len(own)))
    leading = (1,) if left_out == 0 and draw(st.booleans()) else ()
    return sizes, (*leading, *own[left_out:])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "x.add_"])
@settings(max_examples=15)
@given(samples=st.integers(0, 4), shapes=broadcasts())
def test_a_parameter_added_or_multiplied_with_any_broadcast_is_exact(
    name: str, samples: int, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    sizes, own = shapes
    # The first is what flows back; its parameter is one number.
    network = Formula(
        lambda m, x: OPERATIONS[name](x * m.front, m.own), front=randn(), own=randn(*own, seed=2)
    )
    assert_equals_the_loop(network, randn(samples, *sizes, seed=1))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("samples", [1, 3, 4])
def test_a_parameter_whose_size_is_that_of_the_batch_is_not_taken_for_samples(
    name: str, samples: int
) -> None:
    network = Formula(lambda m, x: OPERATIONS[name](x, m.own), own=randn(samples, 2))
    assert_equals_the_loop(network, randn(samples, samples, 2, seed=1))


def test_a_class_token_and_positions_are_exact() -> None:
    def embed(m: Any, x: Tensor) -> Tensor:
        tokens = torch.cat([m.token.expand(len(x), -1, -1), m.layer(x)], dim=1)
        return tokens + m.positions

    network = Formula(
        embed, token=randn(1, 1, 4), positions=randn(1, 4, 4, seed=1), layer=nn.Linear(4, 4)
    )
    for samples in (1, 2, 5):
        assert_equals_the_loop(network, randn(samples, 3, 4, seed=2))


@settings(max_examples=25)
@given(
    samples=st.integers(0, 4),
    lengths=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    parameter=st.integers(0, 3),
    dim=st.sampled_from([1, 2, -1, -2]),
)
def test_parameters_beside_the_samples_in_any_place_and_dimension_are_exact(
    samples: int, lengths: list[int], parameter: int, dim: int
) -> None:
    place = parameter % len(lengths)

    def beside(m: Any, x: Tensor) -> Tensor:
        shapes = [[2, 2] for _ in lengths]
        for shape, length in zip(shapes, lengths, strict=True):
            shape[dim % 3 - 1] = length
        parts = [x[:, : shape[0], : shape[1]].sin() * (1 + i) for i, shape in enumerate(shapes)]
        parts[place] = m.own[: shapes[place][0], : shapes[place][1]].expand(len(x), *shapes[place])
        return torch.cat(parts, dim)

    network = Formula(beside, own=randn(3, 3))
    assert_equals_the_loop(network, randn(samples, 3, 3, seed=1))


def test_a_parameter_put_among_the_samples_falls_back() -> None:
    network = Formula(lambda m, x: torch.cat([x, m.own])[: len(x)] + m.own.sum(), own=randn(1, 4))
    assert_equals_the_loop(network, randn(3, 4), fallback=["own"])


@pytest.mark.parametrize("change", [lambda t: t.mul_(2), lambda t: t.zero_(), lambda t: t.sub_(1)])
@pytest.mark.parametrize("meet", [torch.add, torch.mul])
def test_what_is_computed_from_a_parameter_may_change_after_it_has_met_the_samples(
    meet: Callable[[Tensor, Tensor], Tensor], change: Callable[[Tensor], Tensor]
) -> None:
    def then_changed(m: Any, x: Tensor) -> Tensor:
        computed = m.own * 1.5
        met = meet(x, computed)
        change(computed)
        return met

    network = Formula(then_changed, own=randn(4))
    assert_equals_the_loop(network, randn(3, 4, seed=1), fallback=["own"])


def test_what_is_computed_from_a_parameter_may_change_before_it_meets_the_samples() -> None:
    network = Formula(lambda m, x: x + (m.own * 1.5).mul_(2), own=randn(4))
    assert_equals_the_loop(network, randn(3, 4, seed=1))


def test_a_layer_scale_and_a_residual_are_exact() -> None:
    network = Formula(
        lambda m, x: x + m.layer(x) * m.scale, layer=nn.Conv2d(2, 2, 1), scale=randn(2, 1, 1)
    )
    assert_equals_the_loop(network, randn(4, 2, 3, 3))


def test_a_table_looked_up_by_constants_and_added_to_scores_is_exact() -> None:
    index = torch.tensor([0, 1, 2, 1, 0, 1, 2, 2, 0])

    def scores(m: Any, x: Tensor) -> Tensor:
        bias = m.table[index].view(3, 3, 2).permute(2, 0, 1).unsqueeze(0)
        # Two windows of three positions for every sample, in the first dimension.
        windows = m.layer(x.reshape(-1, 3, 4)).view(-1, 3, 2, 2).transpose(1, 2)
        attended = (windows @ windows.transpose(2, 3) + bias).softmax(dim=-1) @ windows
        return attended.reshape(len(x), -1)

    network = Formula(scores, table=randn(3, 2), layer=nn.Linear(4, 4))
    for samples in (1, 3, 5):
        assert_equals_the_loop(network, randn(samples, 6, 4, seed=1))


def test_a_clamped_and_exponentiated_parameter_is_exact() -> None:
    limited = Formula(
        lambda m, x: m.layer(x) * m.own.clamp(max=0.2).exp(),
        own=torch.tensor([-1.0, 0.1, 3.0], dtype=torch.float64),
        layer=nn.Linear(4, 3),
    )
    assert_equals_the_loop(limited, randn(5, 4))


def test_a_small_network_on_constants_whose_output_is_added_is_exact() -> None:
    places = randn(3, 3, 2, seed=5)

    def added(m: Any, x: Tensor) -> Tensor:
        return x + 16 * torch.sigmoid(m.small(places)).permute(2, 0, 1)

    small = nn.Sequential(nn.Linear(2, 6), nn.ReLU(inplace=True), nn.Linear(6, 4, bias=False))
    network = randomised(Formula(added, small=small))
    for samples in (1, 4):
        assert_equals_the_loop(network, randn(samples, 4, 3, 3))


def test_parameters_multiplied_with_each_other_first_are_exact() -> None:
    network = Formula(
        lambda m, x: x * (m.first * m.second.unsqueeze(1)),
        first=randn(2, 3),
        second=randn(2, seed=1),
    )
    assert_equals_the_loop(network, randn(4, 2, 3, seed=2))


def test_a_clone_with_a_slice_zeroed_in_place_as_a_bias_is_exact() -> None:
    def zeroed(m: Any, x: Tensor) -> Tensor:
        bias = m.bias.clone()
        bias[2:4].zero_()
        return nn.functional.linear(x, m.weight, bias)

    network = Formula(zeroed, weight=randn(6, 4), bias=randn(6))
    assert_equals_the_loop(network, randn(5, 3, 4, seed=1))


def test_a_bias_added_in_place_is_exact() -> None:
    def added(m: Any, x: Tensor) -> Tensor:
        found: Tensor = m.layer(x)
        found += m.bias
        return found

    network = Formula(added, layer=nn.Linear(4, 3, bias=False), bias=randn(3))
    assert_equals_the_loop(network, randn(5, 4))


def test_a_bias_added_in_place_to_a_part_and_put_back_is_exact() -> None:
    def added(m: Any, x: Tensor) -> Tensor:
        found: Tensor = m.layer(x)
        found[:, 1:] += m.bias
        return found

    network = Formula(added, layer=nn.Linear(4, 3, bias=False), bias=randn(3))
    # Where the gradient of a view arrives is not known to the rule.
    assert_equals_the_loop(network, randn(5, 3, 4), fallback={"bias"})


def test_a_sum_followed_by_a_change_in_place_is_exact() -> None:
    network = Formula(lambda m, x: (x + m.own).mul_(2).relu_(), own=randn(4))
    assert_equals_the_loop(network, randn(5, 4, seed=1))


def test_a_parameter_that_multiplies_itself_squares_its_whole_gradient() -> None:
    network = Formula(lambda m, x: x * (m.own * m.own), own=randn(4))
    assert_equals_the_loop(network, randn(5, 4, seed=1))


def test_one_expression_met_twice_squares_its_whole_gradient() -> None:
    def twice(m: Any, x: Tensor) -> Tensor:
        factor = m.own.exp()
        return x * factor + factor

    assert_equals_the_loop(Formula(twice, own=randn(4)), randn(5, 4, seed=1), fallback=["own"])


def test_a_detached_parameter_has_no_gradient_there() -> None:
    network = Formula(lambda m, x: x * m.own.detach() + m.own, own=randn(4))
    assert_equals_the_loop(network, randn(5, 4, seed=1))


def test_a_parameter_of_one_number_is_exact() -> None:
    network = Formula(lambda m, x: x * m.factor + x, factor=randn())
    assert_equals_the_loop(network, randn(5, 4, seed=1))


def test_a_filter_of_frequencies_is_exact() -> None:
    def forward(module: Any, inputs: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(inputs * module.front)
        filtered: Tensor = torch.fft.irfft(spectrum * torch.view_as_complex(module.own), n=6)
        return filtered

    network = Formula(forward, front=randn(), own=randn(4, 2, seed=2))
    assert_equals_the_loop(network, randn(5, 6, seed=1))
