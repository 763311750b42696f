"""Per-sample gradients that are products: the sum over samples of their powers.

The weights of a convolution have as a sample's gradient, for every tap of the kernel,

    Σ over positions p of  output gradient[p] ⊗ input[p · stride + tap · dilation − padding]

and those of a linear layer the same with one tap. On a CPU, in float32, it is computed tile by tile
(`tiles.py`), and the power of each tile is added to the total at once, so no per-sample gradient is
ever in memory.

Tiles want the numbers of one position side by side, and whole vectors of them. What comes otherwise
is brought into that form for some samples at a time, in memory that is used again for the next.
(The network could be asked to compute in the channels-last format throughout; that is a little
faster, but the library's convolutions were measured to round twice as much in it.)
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.estimators import Power
from workers.unlearning.loops import tiles
from workers.unlearning.loops.compiled import Array, use_threads

# Bytes of outputs and inputs that are brought into form at once; they stay in the third cache.
MOST_BYTES = 8 << 20

Pair = tuple[int, int]


@dataclass(frozen=True)
class Sliding:
    """How a kernel moves over its input: (y, x) of each."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)


def is_tiled(total: Tensor, outputs: Tensor, inputs: Tensor) -> bool:
    """Whether the tiles can work on these."""
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
    """Add the powers of the samples' gradients to `total` [rows, taps y, taps x, columns].

    `outputs` [b, y, x, rows] are gradients of the outputs, `inputs` [b, y, x, columns]; in whatever
    order they lie in memory. The columns of `total` must lie side by side.
    """
    assert is_tiled(total, outputs, inputs)
    assert total.shape[0] == outputs.shape[3]
    assert total.shape[3] == inputs.shape[3]
    assert total.stride(3) == 1 or total.shape[3] == 1
    if not (outputs.numel() and inputs.numel()):
        return
    if inputs.shape[3] < tiles.LANES and total.shape[2] > 1 and sliding.dilation[1] == 1:
        rows, taps_y, taps_x, columns = total.shape
        inputs, sliding = _taps_as_columns(inputs, outputs.shape[2], taps_x, sliding)
        total = total.view(rows, taps_y, 1, taps_x * columns)
    rows, *taps, columns = total.shape
    of_tiles = (rows + -rows % tiles.ROWS, *taps, columns + -columns % tiles.LANES)
    if total.shape == of_tiles:
        _add(total, outputs, inputs, power, sliding)
    else:
        larger = total.new_zeros(of_tiles)
        _add(larger, outputs, inputs, power, sliding)
        total.add_(larger[:rows, ..., :columns])


def _taps_as_columns(
    inputs: Tensor, positions: int, taps: int, sliding: Sliding
) -> tuple[Tensor, Sliding]:
    """What the taps along x see of few columns, as columns: 7 taps of 3 are one tap of 21."""
    stride, padding = sliding.stride[1], sliding.padding[1]
    needed = (positions - 1) * stride + taps
    right = max(0, needed - padding - inputs.shape[2])
    padded = functional.pad(inputs, (0, 0, padding, right))[:, :, :needed].contiguous()
    size, height, _, columns = padded.shape
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
    rows, *_, columns = total.shape
    per_sample = outputs[0, ..., 0].numel() * rows + inputs[0, ..., 0].numel() * columns
    at_once = max(1, MOST_BYTES // (4 * per_sample))
    of_outputs, of_inputs = _Formed(outputs, rows, at_once), _Formed(inputs, columns, at_once)
    for start in range(0, len(outputs), at_once):
        samples = slice(start, start + at_once)
        tiles.add_products(
            threads,
            total.numpy(),
            of_outputs.of(samples),
            of_inputs.of(samples),
            int(power is Power.SQUARE),
            *sliding.stride,
            *sliding.padding,
            *sliding.dilation,
        )


class _Formed:
    """Some samples at a time of a tensor [b, y, x, numbers]: side by side, and `width` of them.

    What is added to the numbers is 0.
    """

    def __init__(self, tensor: Tensor, width: int, at_once: int) -> None:
        self._tensor = tensor.detach()
        self._formed: Tensor | None = None
        if tensor.stride(3) != 1 or tensor.shape[3] != width:
            self._formed = torch.zeros(at_once, *tensor.shape[1:3], width)

    def of(self, samples: slice) -> Array:
        """These samples, until others are asked for."""
        tensor = self._tensor[samples]
        if self._formed is None:
            array: Array = tensor.numpy()
            return array
        formed = self._formed[: len(tensor)]
        if tensor.stride(3) == 1:
            formed[..., : tensor.shape[3]] = tensor
        else:
            by_position = formed.flatten(1, 2)[..., : tensor.shape[3]]
            by_number = tensor.permute(0, 3, 1, 2).flatten(2).contiguous()
            tiles.transpose(by_number.numpy(), by_position.numpy())
        return np.asarray(formed.numpy())
