"""Normalisation layers of any shape against the loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.errors import NotEvaluable
from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    labelled,
    randn,
    randomised,
)
from workers.unlearning.importances import fisher_sums

BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def _behind_a_scale(layer: nn.Module, *shape: int) -> nn.Module:
    """The layer behind a parameter that sees what flows back through it."""
    network = Formula(lambda m, x: m.layer(x * m.front), layer=layer, front=randn(*shape))
    return randomised(network)


@settings(max_examples=40)
@given(
    samples=st.integers(0, 4),
    channels=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 4), max_size=3),
    affine=st.booleans(),
)
def test_a_batch_norm_with_running_statistics_is_exact(
    samples: int, channels: int, sizes: list[int], affine: bool
) -> None:
    layer = BATCH_NORMS[max(1, len(sizes))](channels, affine=affine)
    network = _behind_a_scale(layer, channels, *(1 for _ in sizes))
    assert_equals_the_loop(network, randn(samples, channels, *sizes, seed=1))


@settings(max_examples=15)
@given(samples=st.integers(1, 4), windows=st.integers(1, 3), sizes=st.lists(st.integers(1, 3)))
def test_a_batch_norm_on_folded_rows_keeps_them_with_their_samples(
    samples: int, windows: int, sizes: list[int]
) -> None:
    layer = BATCH_NORMS[max(1, min(3, len(sizes)))](2)
    network = Formula(
        lambda m, x: m.layer(x.flatten(0, 1)).reshape(len(x), -1),
        layer=layer,
    )
    assert_equals_the_loop(randomised(network), randn(samples, windows, 2, *sizes[:3]))


@settings(max_examples=40)
@given(
    samples=st.integers(0, 4),
    positions=st.lists(st.integers(1, 4), max_size=2),
    shape=st.lists(st.integers(2, 4), min_size=1, max_size=2),
    affine=st.booleans(),
    bias=st.booleans(),
)
def test_a_layer_norm_is_exact(
    samples: int, positions: list[int], shape: list[int], affine: bool, bias: bool
) -> None:
    layer = nn.LayerNorm(shape, elementwise_affine=affine, bias=bias)
    network = _behind_a_scale(layer, *shape)
    assert_equals_the_loop(network, randn(samples, *positions, *shape, seed=1))


@settings(max_examples=40)
@given(
    samples=st.integers(0, 4),
    groups=st.integers(1, 3),
    channels=st.integers(1, 2),
    sizes=st.lists(st.integers(2, 3), max_size=3),
    affine=st.booleans(),
)
def test_a_group_norm_is_exact(
    samples: int, groups: int, channels: int, sizes: list[int], affine: bool
) -> None:
    # A group of one number is normalised to nothing.
    channels += not sizes
    layer = nn.GroupNorm(groups, groups * channels, affine=affine)
    network = _behind_a_scale(layer, groups * channels, *(1 for _ in sizes))
    assert_equals_the_loop(network, randn(samples, groups * channels, *sizes, seed=1))


def test_an_instance_norm_falls_back() -> None:
    network = _behind_a_scale(nn.InstanceNorm2d(3, affine=True), 3, 1, 1)
    names = ["layer.weight", "layer.bias"]
    assert_equals_the_loop(network, randn(4, 3, 3, 4), fallback=names)


def test_an_epsilon_of_ones_own_is_used() -> None:
    for layer in (nn.BatchNorm2d(4, eps=0.5), nn.GroupNorm(2, 4, eps=0.5)):
        assert_equals_the_loop(_behind_a_scale(layer, 4, 1, 1), randn(3, 4, 2, 3))
    assert_equals_the_loop(_behind_a_scale(nn.LayerNorm(4, eps=0.5), 4), randn(3, 2, 4))


def test_a_relu_in_place_behind_a_normalisation_is_exact() -> None:
    layer = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    assert_equals_the_loop(_behind_a_scale(layer, 4, 1, 1), randn(3, 4, 2, 3))


def test_batch_statistics_are_refused() -> None:
    network = _behind_a_scale(nn.BatchNorm2d(4, track_running_stats=False), 4, 1, 1).double()
    samples = labelled(randn(3, 4, 2, 3))
    with pytest.raises(NotEvaluable, match="statistics of its batch"):
        fisher_sums(network.eval(), [samples])


def test_batch_statistics_asked_for_by_the_function_are_refused() -> None:
    network = Formula(
        lambda m, x: nn.functional.batch_norm(
            x, torch.zeros(4, dtype=x.dtype), torch.ones(4, dtype=x.dtype), m.scale, training=True
        ),
        scale=randn(4),
    )
    with pytest.raises(NotEvaluable, match="statistics of its batch"):
        fisher_sums(network.eval(), [labelled(randn(3, 4, 2, 3))])


def test_a_batch_norm_in_train_mode_is_refused_by_its_name() -> None:
    network = _behind_a_scale(nn.BatchNorm2d(4), 4, 1, 1).double().eval()
    network.get_submodule("layer").train()
    with pytest.raises(NotEvaluable, match="'layer' is in train mode"):
        fisher_sums(network, [labelled(randn(3, 4, 2, 3))])


def _standardised(weight: Tensor, gain: Tensor | None) -> Tensor:
    """Each row of the weight normalised, as layers with weight standardisation do it."""
    rows = weight.reshape(1, len(weight), -1)
    return nn.functional.batch_norm(
        rows, None, None, weight=gain, training=True, momentum=0.0
    ).reshape_as(weight)


@pytest.mark.parametrize("gained", [False, True])
def test_weights_that_are_standardised_by_a_batch_norm_are_exact(gained: bool) -> None:
    members = {"weight": randn(4, 2, 3, 3), "shift": randn(4, seed=1)}
    if gained:
        members["gain"] = randn(4, seed=2)
    network = Formula(
        lambda m, x: nn.functional.conv2d(
            x, _standardised(m.weight, m.gain * 0.3 if gained else None), m.shift
        ),
        **members,
    )
    assert_equals_the_loop(network, randn(5, 2, 5, 5), fallback=members)


def test_samples_that_are_standardised_with_parameters_stay_refused() -> None:
    network = Formula(
        lambda m, x: nn.functional.batch_norm(x, None, None, m.gain, training=True),
        gain=randn(4),
    )
    with pytest.raises(NotEvaluable, match="couples the samples"):
        fisher_sums(network.double().eval(), [labelled(randn(5, 4))])


def test_weights_that_are_dropped_at_random_stay_refused() -> None:
    network = Formula(
        lambda m, x: nn.functional.linear(x, nn.functional.dropout(m.weight)), weight=randn(3, 4)
    )
    with pytest.raises(NotEvaluable, match="at random"):
        fisher_sums(network.double().eval(), [labelled(randn(5, 4))])
