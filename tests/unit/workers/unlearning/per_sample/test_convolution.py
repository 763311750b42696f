"""Convolutions of any shape, on every path, against the loop."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    labelled,
    loop,
    randn,
    randomised,
    worst_relative_error,
)
from workers.unlearning.importances import fisher_sums
from workers.unlearning.per_sample import convolution, window

MODULES = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}

# What has to be set for a path to be taken wherever it can be; float64 is not tiled.
PATHS = {"in_groups": {}, "unfolded": {"FAST_IN_GROUPS": ()}}


@dataclass(frozen=True)
class Shape:
    """A convolution and its inputs."""

    samples: int
    groups: int
    columns: int
    rows: int
    bias: bool
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    sizes: tuple[int, ...]


@st.composite
def shapes(draw: st.DrawFn, dimensions: int) -> Shape:
    """Any convolution that has an output; of one position often."""

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(dimensions))

    kernel, stride, padding, dilation = each(1, 3), each(1, 3), each(0, 2), each(1, 2)
    extra = each(0, 4 if dimensions < 3 else 2)
    sizes = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + e
        for k, p, d, e in zip(kernel, padding, dilation, extra, strict=True)
    )
    return Shape(
        samples=draw(st.integers(0, 4)),
        groups=draw(st.integers(1, 3)),
        columns=draw(st.integers(1, 3)),
        rows=draw(st.integers(1, 3)),
        bias=draw(st.booleans()),
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        sizes=sizes,
    )


def behind_a_scale(shape: Shape) -> Formula:
    """The convolution; a parameter in front of it sees what flows back through it."""
    channels = shape.groups * shape.columns
    layer = MODULES[len(shape.kernel)](
        channels,
        shape.groups * shape.rows,
        shape.kernel,
        shape.stride,
        shape.padding,
        shape.dilation,
        shape.groups,
        shape.bias,
    )
    scale = randn(channels, *(1 for _ in shape.sizes))
    return Formula(lambda m, x: m.layer(x * m.scale), layer=layer, scale=scale)


def images_of(shape: Shape) -> torch.Tensor:
    """What goes into it."""
    return randn(shape.samples, shape.groups * shape.columns, *shape.sizes, seed=1)


def assert_shape_is_exact(shape: Shape, path: str, *, entries: int | None = None) -> None:
    """Compare with the loop; gradients of `entries` numbers at once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PATHS[path].items():
            patch.setattr(convolution, name, value)
        if entries is not None:
            patch.setattr(window, "CACHED_ENTRIES", entries)
        assert_equals_the_loop(randomised(behind_a_scale(shape)), images_of(shape))


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=12)
@given(shape=shapes(1))
def test_a_convolution_in_one_dimension_is_exact(path: str, shape: Shape) -> None:
    assert_shape_is_exact(shape, path)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=20)
@given(shape=shapes(2), entries=st.sampled_from([1, 20, 1 << 20]))
def test_a_convolution_in_two_dimensions_is_exact(path: str, shape: Shape, entries: int) -> None:
    assert_shape_is_exact(shape, path, entries=entries)


@settings(max_examples=60)
@given(shape=shapes(2))
def test_a_convolution_in_float32_is_exact_but_for_rounding(shape: Shape) -> None:
    network = behind_a_scale(shape).float().eval()
    samples = labelled(images_of(shape).float())
    for reproducible in (False, True):
        found = fisher_sums(network, [samples], reproducible=reproducible)
        # What is zero may be rounding instead.
        assert worst_relative_error(found, loop(network, samples), floor=1e-5) <= 1e-4


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=8)
@given(shape=shapes(3))
def test_a_convolution_in_three_dimensions_is_exact(path: str, shape: Shape) -> None:
    assert_shape_is_exact(shape, path)


@pytest.mark.parametrize("positions", [1, 2, 4, 5, 64, 65])
def test_every_number_of_output_positions_about_a_threshold_is_exact(positions: int) -> None:
    network = randomised(Formula(lambda m, x: m.layer(x), layer=nn.Conv2d(2, 3, (1, 2))))
    assert_equals_the_loop(network, randn(3, 2, 1, positions + 1))


@pytest.mark.parametrize("path", PATHS)
def test_a_depthwise_convolution_of_more_rows_than_groups_is_exact(path: str) -> None:
    shape = Shape(3, 4, 1, 2, True, (3, 3), (2, 1), (1, 0), (1, 2), (5, 6))
    assert_shape_is_exact(shape, path)


def test_a_kernel_large_enough_for_the_compiled_loop_is_exact() -> None:
    layer = nn.Conv2d(40, 48, 3, padding=1)
    assert layer.weight.numel() >= window.LARGE
    network = Formula(lambda m, x: m.layer(x), layer=layer)
    assert_equals_the_loop(network, randn(3, 40, 9, 8))


def test_padding_that_is_not_of_zeros_is_exact() -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")
    assert_equals_the_loop(Formula(lambda m, x: m.layer(x), layer=layer), randn(3, 2, 4, 5))


def test_padding_by_name_falls_back() -> None:
    layer = nn.Conv2d(2, 3, 3, padding="same")
    network = Formula(lambda m, x: m.layer(x), layer=layer)
    assert_equals_the_loop(network, randn(3, 2, 4, 5), fallback=["layer.weight", "layer.bias"])


def test_images_folded_into_the_first_dimension_fall_back() -> None:
    network = Formula(
        lambda m, x: m.layer(x.flatten(0, 1)).reshape(len(x), -1), layer=nn.Conv2d(2, 3, 3)
    )
    names = ["layer.weight", "layer.bias"]
    assert_equals_the_loop(network, randn(3, 2, 2, 4, 4), fallback=names)


def test_a_transposed_convolution_falls_back() -> None:
    network = Formula(lambda m, x: m.layer(x), layer=nn.ConvTranspose2d(2, 3, 3))
    assert_equals_the_loop(network, randn(3, 2, 3, 3), fallback=["layer.weight", "layer.bias"])


def test_a_bias_that_is_computed_from_a_parameter_is_exact() -> None:
    network = Formula(
        lambda m, x: nn.functional.conv2d(x, m.weight, m.bias.exp()),
        weight=randn(3, 2, 2, 2),
        bias=randn(3),
    )
    assert_equals_the_loop(network, randn(4, 2, 4, 4))


def test_a_kernel_that_is_computed_from_a_parameter_falls_back() -> None:
    network = Formula(
        lambda m, x: nn.functional.conv2d(x, m.weight - m.weight.mean(), m.bias),
        weight=randn(3, 2, 2, 2),
        bias=randn(3),
    )
    assert_equals_the_loop(network, randn(4, 2, 4, 4), fallback=["weight", "bias"])


def test_a_convolution_beside_itself_squares_the_whole_gradient() -> None:
    network = Formula(
        lambda m, x: torch.cat([m.layer(x), m.layer(-x)], 1), layer=nn.Conv1d(2, 3, 2)
    )
    assert_equals_the_loop(network, randn(3, 2, 5), fallback=["layer.weight", "layer.bias"])
