"""Per-sample gradients that are products: the sum over samples of their powers, compiled.

The weights of a convolution have as a sample's gradient, for every tap of the kernel,

    Σ over positions p of  output gradient[p] ⊗ input[p · stride + tap · dilation − padding]

and those of a linear layer the same with one tap. It is computed tile by tile (`tiles.py`), and the
power of each tile is added to the total at once, so no per-sample gradient is ever in memory.
Positions that padding covers are not multiplied at all. Each thread has tiles of its own and goes
through some samples at a time, which stay in its cache; so the order of every addition is fixed,
and does not depend on the number of threads.

Tiles want the numbers of one position side by side. What comes otherwise is turned some samples at
a time, into memory that is used again for the next. (The network could be asked to compute in the
channels-last format throughout; that is a little faster, but the library's convolutions were
measured to round twice as much in it.)
"""

from dataclasses import dataclass

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.compiled import Array, compiled, compiled_parallel, use_threads
from workers.unlearning.estimators import Power
from workers.unlearning.tiles import (
    COLUMNS,
    LANES,
    ROWS,
    add_narrow_tile,
    add_tile,
    address,
    transpose,
)

# Rows of the total that one thread works on for a sample, a multiple of a tile's.
MOST_ROWS = 128
# Positions added up in one go; their outputs and inputs stay in the first cache.
MOST_POSITIONS = 128
# Bytes of outputs and inputs that are turned at once; they stay in the third cache.
MOST_TURNED_BYTES = 8 << 20
# Bytes of outputs and inputs that a thread stays with; they stay in the second cache.
MOST_BYTES = 1 << 20

Pair = tuple[int, int]


@dataclass(frozen=True)
class Sliding:
    """How a kernel moves over its input: (y, x) of each."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)


def is_tiled(total: Tensor, outputs: Tensor, inputs: Tensor) -> bool:
    """Whether the compiled loop can work on these."""
    return (
        total.device.type == "cpu"
        and total.dtype in (torch.float32, torch.float64)
        and outputs.dtype == inputs.dtype == torch.float32
    )


def add_products(
    total: Tensor,
    outputs: Tensor,
    inputs: Tensor,
    power: Power,
    sliding: Sliding = Sliding(),
) -> None:
    """Add the powers of the samples' gradients to `total` [rows, kernel y, kernel x, columns].

    `outputs` [b, y, x, rows] are gradients of the outputs, `inputs` [b, y, x, columns]. The columns
    of `total` must lie side by side.
    """
    if not len(outputs):
        return
    if inputs.shape[3] < LANES and total.shape[2] > 1 and sliding.dilation[1] == 1:
        inputs, sliding = _taps_as_columns(inputs, outputs.shape[2], total.shape[2], sliding)
        total = total.flatten(2).unsqueeze(2)
    rows, *taps, columns = total.shape
    lacking = (-rows % ROWS, -columns % LANES)
    if any(lacking):
        larger = total.new_zeros(rows + lacking[0], *taps, columns + lacking[1])
        outputs = functional.pad(outputs, (0, lacking[0]))
        inputs = functional.pad(inputs, (0, lacking[1]))
        _add(larger, outputs, inputs, power, sliding)
        total.add_(larger[:rows, ..., :columns])
    else:
        _add(total, outputs, inputs, power, sliding)


def _taps_as_columns(
    inputs: Tensor, positions: int, taps: int, sliding: Sliding
) -> tuple[Tensor, Sliding]:
    """What the taps along x see of few columns, side by side: they fill a vector together."""
    columns, (stride, padding) = inputs.shape[3], (sliding.stride[1], sliding.padding[1])
    right = (positions - 1) * stride + taps - padding - inputs.shape[2]
    # A negative padding cuts off what no tap reaches.
    padded = functional.pad(inputs, (0, 0, padding, right)).contiguous()
    size, height, *_ = padded.shape
    per_sample, per_y, per_x, _ = padded.stride()
    seen = padded.as_strided(
        (size, height, positions, taps * columns), (per_sample, per_y, stride * per_x, 1)
    )
    return seen, Sliding(
        stride=(sliding.stride[0], 1),
        padding=(sliding.padding[0], 0),
        dilation=(sliding.dilation[0], 1),
    )


def _add(total: Tensor, outputs: Tensor, inputs: Tensor, power: Power, sliding: Sliding) -> None:
    threads = use_threads()
    some = max(1, MOST_TURNED_BYTES // (4 * (outputs[0].numel() + inputs[0].numel())))
    turn_outputs, turn_inputs = _Turned(some, outputs), _Turned(some, inputs)
    for start in range(0, len(outputs), some):
        samples = slice(start, start + some)
        _add_tiles(
            threads,
            total.numpy(),
            turn_outputs.some(samples),
            turn_inputs.some(samples),
            int(power is Power.SQUARE),
            *sliding.stride,
            *sliding.padding,
            *sliding.dilation,
        )


class _Turned:
    """Some samples at a time of a tensor [b, y, x, numbers], the last lying side by side."""

    def __init__(self, some: int, tensor: Tensor) -> None:
        self._tensor = tensor.detach()
        self._turned: Array | None = None
        if tensor.stride(3) != 1:
            self._turned = np.empty((some, *tensor.shape[1:]), np.float32)

    def some(self, samples: slice) -> Array:
        """These samples, until the next ones are asked for."""
        tensor = self._tensor[samples]
        if self._turned is None:
            array: Array = tensor.numpy()
            return array
        turned = self._turned[: len(tensor)]
        _turn(
            tensor.permute(0, 3, 1, 2).flatten(2).contiguous().numpy(),
            turned.reshape(len(tensor), -1, tensor.shape[3]),
        )
        return turned


@compiled_parallel
def _turn(array: Array, turned: Array) -> None:
    """From [b, numbers, positions] to [b, positions, numbers]."""
    size, numbers, positions = array.shape
    of_squares = numbers // LANES * LANES, positions // LANES * LANES
    for sample in numba.prange(size):
        for number in range(0, of_squares[0], LANES):
            for position in range(0, of_squares[1], LANES):
                transpose(
                    address(turned[sample, position:, number:]),
                    turned.strides[1],
                    address(array[sample, number:, position:]),
                    array.strides[1],
                )
        for number in range(numbers):
            for position in range(of_squares[1] if number < of_squares[0] else 0, positions):
                turned[sample, position, number] = array[sample, number, position]


@compiled_parallel
def _add_tiles(
    threads: int,
    total: Array,
    outputs: Array,
    inputs: Array,
    square: int,
    stride_y: int,
    stride_x: int,
    padding_y: int,
    padding_x: int,
    dilation_y: int,
    dilation_x: int,
) -> None:
    rows, taps_y, taps_x, columns = total.shape
    size, height, width, _ = outputs.shape
    blocks_of_columns = (columns + COLUMNS - 1) // COLUMNS
    blocks_of_rows = (rows + MOST_ROWS - 1) // MOST_ROWS
    blocks = taps_y * taps_x * blocks_of_columns * blocks_of_rows
    some = max(1, MOST_BYTES // (outputs.strides[0] + inputs.strides[0]))
    for thread in numba.prange(threads):
        partial = np.empty((MOST_ROWS, COLUMNS), np.float32)
        for start in range(0, size, some):
            stop = min(size, start + some)
            for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
                tap, place = divmod(block, blocks_of_columns * blocks_of_rows)
                of_columns, of_rows = divmod(place, blocks_of_rows)
                tap_y, tap_x = divmod(tap, taps_x)
                shift_y = tap_y * dilation_y - padding_y
                shift_x = tap_x * dilation_x - padding_x
                from_y, to_y = _inside(height, inputs.shape[1], stride_y, shift_y)
                from_x, to_x = _inside(width, inputs.shape[2], stride_x, shift_x)
                if from_y < to_y and from_x < to_x:
                    _add_block(
                        total[:, tap_y, tap_x],
                        outputs[start:stop, from_y:to_y, from_x:to_x],
                        inputs[
                            start:stop,
                            from_y * stride_y + shift_y :: stride_y,
                            from_x * stride_x + shift_x :: stride_x,
                        ],
                        of_rows * MOST_ROWS,
                        of_columns * COLUMNS,
                        square,
                        partial,
                    )


@compiled
def _inside(positions: int, size: int, stride: int, shift: int) -> tuple[int, int]:
    """The output positions, from and to, that a tap takes to places inside the input."""
    first = max(0, (stride - 1 - shift) // stride)
    return first, min(positions, (size - 1 - shift) // stride + 1)


@compiled
def _add_block(
    total: Array,
    outputs: Array,
    inputs: Array,
    first_row: int,
    first_column: int,
    square: int,
    partial: Array,
) -> None:
    """One tap, some rows of `total` [rows, columns], and a tile's columns, for some samples."""
    size, height, width, rows = outputs.shape
    columns = min(COLUMNS, total.shape[1] - first_column)
    last_row = min(rows, first_row + MOST_ROWS)
    of_outputs, output_y, output_x, output_row = outputs.strides
    of_inputs, input_y, input_x, input_column = inputs.strides
    total_row, total_column = total.strides
    step = max(1, MOST_POSITIONS // width)
    totals = address(total) + first_column * total_column
    for sample in range(size):
        for y in range(0, height, step):
            some = min(step, height - y)
            first, last = int(y == 0), int(y + some == height)
            out = address(outputs) + sample * of_outputs + y * output_y
            into = address(inputs) + sample * of_inputs + y * input_y
            into += first_column * input_column
            for row in range(first_row, last_row, ROWS):
                at = (total, totals + row * total_row, total_row)
                part = (address(partial) + (row - first_row) * partial.strides[0], first, last)
                there = (out + row * output_row, output_y, output_x)
                here = (into, input_y, input_x, some, width)
                if columns > LANES:
                    add_tile(*at, *part, square, *there, *here)
                else:
                    add_narrow_tile(*at, *part, square, *there, *here)
