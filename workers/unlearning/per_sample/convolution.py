"""Convolutions, of one, two or three dimensions.

A sample's gradient at one tap of the kernel is the sum over positions of output ⊗ shifted input.
Two ways to the sum over samples of its square, and the cheaper is taken:

- Where a tap sees few positions (deep layers on small images), the square is multiplied out:
  (Σ_t g_t x_t)² = Σ_{t ≤ s} c_ts (g_t g_s)(x_t x_s), c = 1 on the diagonal and 2 elsewhere. That is
  one matmul over samples and pairs for every tap, and no per-sample gradient is ever written down.
- Else the samples' gradients are computed, some at a time, and squared while they are in the cache:
  as matmuls with the unfolded input, or by the library's own kernel, to which several samples at a
  time are one convolution in groups.

Which is cheaper was measured; see docs/benchmarks.md.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.estimators import Power
from workers.unlearning.per_sample.call import Call, NotCovered
from workers.unlearning.per_sample.window import Window

Sizes = tuple[int, ...]

# Up to so many output positions the square is multiplied out.
FEW_POSITIONS = 4
# Up to so many the unfolded input is cheaper than the library's kernel, which has to be called.
SOME_POSITIONS = 64
# A kernel of more weights is large.
LARGE_KERNEL = 1 << 18


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
            add_kernel_gradients(call.tape.window, kernel.name, gradient, input, geometry)
        call.tape.add(shift, lambda: gradient.flatten(2).sum(dim=2))

    return call.tape.tap(output, add)


@dataclass(frozen=True)
class Geometry:
    """How a kernel moves over its input; one number for each dimension."""

    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int

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

    def contacts(
        self, kernel: Sizes, outputs: Sizes, inputs: Sizes
    ) -> list[tuple[list[int], list[int]]]:
        """For every tap, the output positions where it is inside the input, and where it is there.

        Positions count through all dimensions together, the last one fastest.
        """
        found = []
        for tap in itertools.product(*map(range, kernel)):
            along = [self._touched(d, tap[d], outputs[d], inputs[d]) for d in range(len(kernel))]
            points = list(itertools.product(*along))
            of_output = [_flat([p for p, _ in point], outputs) for point in points]
            of_input = [_flat([p for _, p in point], inputs) for point in points]
            found.append((of_output, of_input))
        return found

    def _touched(self, d: int, tap: int, outputs: int, inputs: int) -> list[tuple[int, int]]:
        start = tap * self.dilation[d] - self.padding[d]
        reached = ((position, position * self.stride[d] + start) for position in range(outputs))
        return [(position, place) for position, place in reached if 0 <= place < inputs]


def add_kernel_gradients(
    window: Window, name: str, outputs: Tensor, inputs: Tensor, geometry: Geometry
) -> None:
    """Add what the samples' gradients of the kernel `name` amount to.

    `outputs` [b, rows, …] are gradients of the convolution's outputs, `inputs` [b, columns, …].
    """
    total = window.sums[name]
    positions = math.prod(outputs.shape[2:])
    may_multiply_out = geometry.groups == 1 and (
        positions == 1 or (positions <= FEW_POSITIONS and window.power is Power.SQUARE)
    )
    if may_multiply_out:
        _multiply_out(window.power, total, outputs, inputs, geometry)
        return
    if _is_unfolded(geometry, total, positions):
        _unfold(window, name, outputs, inputs, geometry)
        return
    samples = window.entries_at_once(total) // (2 * total.numel())
    if _is_large(total):
        samples = 1
    for some_out, some_in in _split(max(1, samples), outputs, inputs):
        window.add(name, geometry.kernel_gradients(some_out, some_in, total.shape))


def _is_large(kernel: Tensor) -> bool:
    """On a CPU, kernels that are faster done one sample at a time."""
    return kernel.device.type == "cpu" and kernel.numel() > LARGE_KERNEL


def _is_unfolded(geometry: Geometry, kernel: Tensor, positions: int) -> bool:
    if geometry.groups > 1 or kernel.dim() != 4:
        return False
    # Other devices than CPUs are slow at convolutions in many groups.
    small = positions <= SOME_POSITIONS and not _is_large(kernel)
    return small or kernel.device.type != "cpu"


def _unfold(window: Window, name: str, outputs: Tensor, inputs: Tensor, geometry: Geometry) -> None:
    total = window.sums[name]
    rows, *_, height, width = total.shape
    columns = total.numel() // rows
    positions = math.prod(outputs.shape[2:])
    samples = max(1, window.entries_at_once(total) // (columns * max(positions, rows)))
    for some_out, some_in in _split(samples, outputs, inputs):
        unfolded = functional.unfold(
            some_in, (height, width), geometry.dilation, geometry.padding, geometry.stride
        )
        window.add_products(name, some_out.flatten(2).transpose(1, 2), unfolded.transpose(1, 2))


def _split(samples: int, outputs: Tensor, inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(outputs), samples):
        rows = slice(start, start + samples)
        yield outputs[rows], inputs[rows]


def _multiply_out(
    power: Power, total: Tensor, outputs: Tensor, inputs: Tensor, geometry: Geometry
) -> None:
    contacts = geometry.contacts(total.shape[2:], outputs.shape[2:], inputs.shape[2:])
    # [positions, b, rows or columns]: what a tap needs lies together.
    outputs = outputs.flatten(2).permute(2, 0, 1).to(total.dtype).contiguous()
    inputs = inputs.flatten(2).permute(2, 0, 1).to(total.dtype).contiguous()
    taps = total.flatten(2)
    for tap, (of_output, of_input) in enumerate(contacts):
        if of_output:
            found = torch.mm(
                _pair_products(power, outputs, of_output).t(),
                _pair_products(power, inputs, of_input, doubled=True),
            )
            # It is a sum of squares; only rounding makes it negative.
            taps[:, :, tap].add_(found.clamp_(min=0))


def _pair_products(
    power: Power, values: Tensor, positions: list[int], *, doubled: bool = False
) -> Tensor:
    """Products of two positions' values, for every pair and sample: [pairs · b, channels]."""
    if len(positions) == 1:
        return power.of(values[positions[0]])
    pairs = list(itertools.combinations_with_replacement(positions, 2))
    first, second = zip(*pairs, strict=True)
    products = values[list(first)] * values[list(second)]
    if doubled:
        for products_of_pair, (one, other) in zip(products, pairs, strict=True):
            if one != other:
                products_of_pair.mul_(2)
    return products.flatten(0, 1)


def _each(value: int | Sequence[int], dimensions: int) -> Sizes:
    sizes = (value,) if isinstance(value, int) else tuple(value)
    return sizes * dimensions if len(sizes) == 1 else sizes


def _flat(point: Sequence[int], sizes: Sizes) -> int:
    index = 0
    for coordinate, size in zip(point, sizes, strict=True):
        index = index * size + coordinate
    return index
