"""Convolutions, of one, two or three dimensions.

A sample's gradient at one tap of the kernel is the sum over positions of output ⊗ shifted input.
There are three ways to the sum over samples of its square:

- Where the output has one position there is nothing to sum: the square of the product is the
  product of the squares, and each tap is one matmul over all samples.
- On a CPU in float32, ungrouped kernels of two dimensions are computed in tiles.
- Else the samples' gradients are computed, some at a time: as matmuls with the unfolded input, or
  by the library's own kernel, to which some samples are one convolution in groups.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.estimators import Power
from workers.unlearning.loops.products import Sliding, is_tiled
from workers.unlearning.per_sample.call import Call, NotCovered
from workers.unlearning.per_sample.window import Window

Sizes = tuple[int, ...]

# Where the library is fast at convolutions in many groups; elsewhere unfolded inputs are faster.
FAST_IN_GROUPS = ("cpu",)


def convolution(
    call: Call,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`functional.conv1d`, `conv2d`, `conv3d`: input [size · k, channels, …]."""
    call.require_constant(input)
    kernel, shift = call.parameter(weight), call.expression(bias)
    dimensions = weight.dim() - 2
    of_samples = input.dim() == weight.dim() and input.shape[0] == call.tape.size
    if not of_samples or isinstance(padding, str):
        raise NotCovered
    geometry = Geometry(
        stride=_each(stride, dimensions),
        padding=_each(padding, dimensions),
        dilation=_each(dilation, dimensions),
        groups=groups,
    )
    call.tape.use(kernel, shift)
    output: Tensor = call.func(
        input, call.value(weight), call.value(bias), stride, padding, dilation, groups
    )

    def add(gradient: Tensor) -> None:
        if kernel is not None and call.tape.covers(kernel):
            for window, outputs, inputs in call.tape.parted(gradient, input):
                add_kernel_gradients(window, kernel.name, outputs, inputs, geometry)
        call.tape.add(shift, lambda: gradient.flatten(2).sum(dim=2))

    return call.tape.tap(output, add)


@dataclass(frozen=True)
class Geometry:
    """How a kernel moves over its input; one number for each dimension."""

    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int

    def sliding(self) -> Sliding:
        """How the taps slide over two dimensions, for the compiled products."""
        stride_y, stride_x = self.stride
        padding_y, padding_x = self.padding
        dilation_y, dilation_x = self.dilation
        return Sliding(
            stride=(stride_y, stride_x),
            padding=(padding_y, padding_x),
            dilation=(dilation_y, dilation_x),
        )

    def kernel_gradients(self, outputs: Tensor, inputs: Tensor, shape: torch.Size) -> Tensor:
        """The gradients [b, *shape] of every sample's kernel, by one convolution in groups."""
        size = len(inputs)
        rows, *rest = shape
        found: Tensor = torch.ops.aten.convolution_backward(
            outputs.reshape(1, size * rows, *outputs.shape[2:]),
            inputs.reshape(1, size * inputs.shape[1], *inputs.shape[2:]),
            # Only its shape matters.
            inputs.new_empty(size * rows, *rest),
            None,
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0] * len(self.stride),
            size * self.groups,
            [False, True, False],
        )[1]
        return found.view(size, *shape)

    def place_of(self, tap: Sizes, inputs: Sizes) -> int | None:
        """Where a tap is for the first output position, or None if that is padding.

        Places count through all dimensions together, the last one fastest.
        """
        found = 0
        for d, size in enumerate(inputs):
            place = tap[d] * self.dilation[d] - self.padding[d]
            if not 0 <= place < size:
                return None
            found = found * size + place
        return found


def add_kernel_gradients(
    window: Window, name: str, outputs: Tensor, inputs: Tensor, geometry: Geometry
) -> None:
    """Add what the samples' gradients of the kernel `name` amount to.

    `outputs` [b, rows, …] are gradients of the convolution's outputs, `inputs` [b, columns, …].
    """
    total = window.sums[name]
    plain = geometry.groups == 1
    if plain and math.prod(outputs.shape[2:]) == 1:
        _add_one_position(window.power, window.laid_out_by_tap(name), outputs, inputs, geometry)
    elif plain and total.dim() == 4 and is_tiled(total, outputs, inputs):
        window.add_kernel_products(name, outputs, inputs, geometry.sliding())
    elif plain and total.dim() == 4 and total.device.type not in FAST_IN_GROUPS:
        _unfold(window, name, outputs, inputs, geometry)
    else:
        samples = window.entries_at_once(total) // (2 * total.numel())
        for some_out, some_in in _split(max(1, samples), outputs, inputs):
            window.add(name, geometry.kernel_gradients(some_out, some_in, total.shape))


def _unfold(window: Window, name: str, outputs: Tensor, inputs: Tensor, geometry: Geometry) -> None:
    total = window.sums[name]
    rows = len(total)
    columns = total.numel() // rows
    positions = math.prod(outputs.shape[2:])
    samples = max(1, window.entries_at_once(total) // (columns * max(positions, rows)))
    for some_out, some_in in _split(samples, outputs, inputs):
        unfolded = _unfolded(some_in, total.shape[2:], outputs.shape[2:], geometry)
        window.add_products(name, some_out.flatten(2).transpose(1, 2), unfolded.transpose(1, 2))


def _unfolded(
    inputs: Tensor, taps: torch.Size, positions: torch.Size, geometry: Geometry
) -> Tensor:
    """What each tap sees at each position: [b, columns · taps, positions], by a single copy.

    (`functional.unfold` does one sample after another on a GPU, which then waits to be told.)
    """
    padding_y, padding_x = geometry.padding
    padded = functional.pad(inputs, (padding_x, padding_x, padding_y, padding_y))
    per_sample, per_column, *per_place = padded.stride()
    by_tap = [d * stride for d, stride in zip(geometry.dilation, per_place, strict=True)]
    by_position = [s * stride for s, stride in zip(geometry.stride, per_place, strict=True)]
    seen = padded.as_strided(
        (*padded.shape[:2], *taps, *positions),
        (per_sample, per_column, *by_tap, *by_position),
    )
    return seen.reshape(len(inputs), -1, math.prod(positions))


def _split(samples: int, outputs: Tensor, inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(outputs), samples):
        rows = slice(start, start + samples)
        yield outputs[rows], inputs[rows]


def _add_one_position(
    power: Power, total: Tensor, outputs: Tensor, inputs: Tensor, geometry: Geometry
) -> None:
    taps, places = total.flatten(2), inputs.flatten(2)
    of_outputs = power.of(outputs.flatten(1).to(total.dtype)).t()
    for number, tap in enumerate(itertools.product(*map(range, total.shape[2:]))):
        place = geometry.place_of(tap, inputs.shape[2:])
        if place is not None:
            taps[:, :, number].addmm_(of_outputs, power.of(places[:, :, place].to(total.dtype)))


def _each(value: int | Sequence[int], dimensions: int) -> Sizes:
    sizes = (value,) if isinstance(value, int) else tuple(value)
    return sizes * dimensions if len(sizes) == 1 else sizes
