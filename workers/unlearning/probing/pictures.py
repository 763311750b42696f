"""Samples as small pictures, and how alike two of them are: all that a surrogate goes by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from workers.unlearning.batches import Batch

# Pictures are shrunk to that many pixels a side.
SIDE = 32


@dataclass(frozen=True, eq=False)
class Pictures:
    """Samples by position: `positions` and `labels` int64 [n], `pixels` float32 [n, d]."""

    positions: NDArray[np.int64]
    labels: Tensor
    pixels: Tensor

    def rows(self, positions: NDArray[np.int64]) -> Tensor:
        """Where these are found."""
        return torch.from_numpy(np.flatnonzero(np.isin(self.positions, positions)))


def collect(batches: Iterable[Batch], wanted: NDArray[np.int64]) -> Pictures:
    """The samples of `batches` that are `wanted`, by their positions; others may be missing."""
    found = list(_shrunk(batches, wanted))
    positions = torch.cat([positions for positions, _, _ in found]).numpy()
    order = torch.from_numpy(np.argsort(positions))
    return Pictures(
        positions[order.numpy()],
        torch.cat([labels for _, labels, _ in found])[order],
        torch.cat([pixels for _, _, pixels in found])[order],
    )


def _shrunk(
    batches: Iterable[Batch], wanted: NDArray[np.int64]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for batch in batches:
        chosen = torch.from_numpy(np.isin(batch.positions.numpy(), wanted))
        inputs = batch.inputs[chosen.to(batch.inputs.device)]
        if len(inputs):
            height, width = (min(SIDE, side) for side in inputs.shape[2:])
            pixels = functional.adaptive_avg_pool2d(inputs.float(), (height, width)).flatten(1)
            yield batch.positions[chosen], batch.labels.cpu()[chosen], pixels.cpu()


class Kernel:
    """The Gaussian kernel of pictures, as wide as these are far from each other."""

    def __init__(self, pixels: Tensor) -> None:
        self._pixels = pixels
        # Nothing can be told of pictures that are all alike, whatever they are divided by.
        self._scale = float(pixels.var() * pixels.shape[1]) or 1.0

    def between(self, rows: Tensor, columns: Tensor) -> Tensor:
        """float64 [rows, columns]."""
        distances = torch.cdist(self._pixels[rows], self._pixels[columns])
        return torch.exp(-distances.double().square() / self._scale)
