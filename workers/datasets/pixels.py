"""Images that lie together in arrays: the source behind `arrays`, `idx`, `cifar` and `digits`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import SampleUnreadable
from workers.datasets.source import ImageSource, SampleIndex, StoredImage


@dataclass(frozen=True, eq=False)
class PixelArrays(ImageSource):
    """Arrays [n, h, w] or [n, h, w, c], one after the other in the order of `samples`.

    `brightest` is the stored value that becomes 1.0; `name` is what error messages call the data.
    """

    name: str
    samples: SampleIndex
    arrays: Sequence[NDArray[Any]]
    brightest: float

    def index(self) -> SampleIndex:
        """The samples, as the opener declared them."""
        return self.samples

    def stored(self, position: int) -> StoredImage:
        """One image: its bytes in the array, and float32 [c, h, w] in [0, 1]."""
        row = self._row(position)
        return StoredImage(row.tobytes(), lambda: self._decoded(row, position))

    def _decoded(self, row: NDArray[Any], position: int) -> torch.Tensor:
        pixels = np.asarray(row, dtype=np.float32) / np.float32(self.brightest)
        if not np.isfinite(pixels).all():
            raise SampleUnreadable(
                f"{self.name}: the image at position {position} holds NaN or infinity.", position
            )
        if pixels.ndim == 2:
            pixels = pixels[:, :, np.newaxis]
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def _row(self, position: int) -> NDArray[Any]:
        offset = position
        for array in self.arrays:
            if 0 <= offset < len(array):
                row: NDArray[Any] = array[offset]
                return row
            offset -= len(array)
        raise SampleUnreadable(
            f"{self.name} has no sample at position {position}; it was larger when it was "
            "enrolled.",
            position,
        )
