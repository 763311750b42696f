"""Linear layers of any shape against the loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    randn,
    randomised,
)
from workers.unlearning.per_sample import window


@settings(max_examples=50)
@given(
    samples=st.integers(0, 5),
    positions=st.lists(st.integers(1, 4), max_size=2),
    columns=st.integers(1, 5),
    rows=st.integers(1, 5),
    bias=st.booleans(),
    entries=st.sampled_from([1, 7, 1 << 20]),
    batch_size=st.integers(1, 5),
)
def test_a_linear_layer_on_any_positions_is_exact(
    samples: int,
    positions: list[int],
    columns: int,
    rows: int,
    bias: bool,
    entries: int,
    batch_size: int,
) -> None:
    network = Formula(
        lambda m, x: m.second(torch.sin(m.first(x))),
        first=nn.Linear(columns, rows, bias),
        second=nn.Linear(rows, columns, bias),
    )
    with pytest.MonkeyPatch.context() as patch:
        # Gradients of so few entries at once that rows and samples are done in parts.
        patch.setattr(window, "CACHED_ENTRIES", entries)
        inputs = randn(samples, *positions, columns, seed=1)
        assert_equals_the_loop(randomised(network), inputs, batch_size=batch_size)


@settings(max_examples=20)
@given(samples=st.integers(1, 4), windows=st.integers(1, 4), positions=st.integers(1, 3))
def test_windows_folded_into_the_first_dimension_stay_their_samples(
    samples: int, windows: int, positions: int
) -> None:
    network = Formula(
        lambda m, x: m.layer(x.flatten(0, 1)).reshape(len(x), -1), layer=nn.Linear(3, 2)
    )
    assert_equals_the_loop(network, randn(samples, windows, positions, 3))


def test_a_weight_large_enough_for_the_compiled_loop_is_exact() -> None:
    layer = nn.Linear(130, 140)
    assert layer.weight.numel() >= window.LARGE
    assert_equals_the_loop(Formula(lambda m, x: m.layer(x), layer=layer), randn(3, 2, 130))


def test_a_relu_in_place_behind_the_first_layer_is_exact() -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3))
    assert_equals_the_loop(network, randn(5, 4))


def test_one_layer_used_twice_squares_its_whole_gradient() -> None:
    network = Formula(lambda m, x: m.layer(torch.sin(m.layer(x))), layer=nn.Linear(4, 4))
    assert_equals_the_loop(network, randn(5, 4), fallback=["layer.weight", "layer.bias"])


def test_two_layers_of_one_weight_square_its_whole_gradient_and_keep_their_own_biases() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    network = Formula(lambda m, x: m.second(torch.sin(m.first(x))), first=first, second=second)
    assert_equals_the_loop(network, randn(5, 4), fallback=["first.weight"])


def test_a_weight_that_is_computed_from_a_parameter_falls_back() -> None:
    network = Formula(
        lambda m, x: nn.functional.linear(x, m.weight.t(), m.bias),
        weight=randn(4, 3),
        bias=randn(3),
    )
    assert_equals_the_loop(network, randn(5, 4), fallback=["weight", "bias"])


def test_a_bias_computed_from_two_parameters_is_exact() -> None:
    network = Formula(
        lambda m, x: nn.functional.linear(x, m.weight, torch.cat([m.first, m.second.exp()])),
        weight=randn(3, 4),
        first=randn(1),
        second=randn(2, seed=1),
    )
    assert_equals_the_loop(network, randn(5, 4))


def test_only_a_part_of_the_network_depends_on_a_layer_that_reaches_no_output() -> None:
    def formula(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        m.idle(x)
        return m.layer(x)  # type: ignore[no-any-return]

    network = Formula(formula, layer=nn.Linear(4, 3), idle=nn.Linear(4, 3))
    assert_equals_the_loop(network, randn(5, 4))


def test_a_weight_of_a_single_row_without_a_dimension_for_it_falls_back() -> None:
    network = Formula(lambda m, x: nn.functional.linear(x, m.weight)[:, None], weight=randn(4))
    assert_equals_the_loop(network, randn(5, 4), fallback=["weight"])


def test_a_bias_that_all_rows_share_falls_back() -> None:
    network = Formula(
        lambda m, x: nn.functional.linear(x, m.weight, m.bias), weight=randn(3, 4), bias=randn(1)
    )
    assert_equals_the_loop(network, randn(5, 4), fallback=["weight", "bias"])


@pytest.mark.parametrize("positions", [[], [2], [2, 3]])
def test_a_layer_of_no_columns_is_exact(positions: list[int]) -> None:
    network = Formula(
        lambda m, x: nn.functional.linear(x[..., :0], m.weight, m.bias) + m.layer(x),
        weight=randn(3, 0),
        bias=randn(3),
        layer=nn.Linear(4, 3),
    )
    assert_equals_the_loop(network, randn(5, *positions, 4))
