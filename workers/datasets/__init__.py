"""Kind → dataset, and the tensors that a network sees of it.

A new kind is one file with an opener that returns an `ImageSource`, and one line in `DATASETS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.errors import DatasetUnreadable, SampleUnreadable, SourceOutsideRoot
from models.specifications import DatasetSpec, Preprocessing
from workers.datasets.arrays import open_arrays
from workers.datasets.cifar import open_cifar
from workers.datasets.digests import require_same_image
from workers.datasets.digits import open_digits
from workers.datasets.idx import open_idx
from workers.datasets.images import open_images
from workers.datasets.isolation import IsolatedReader, Readable
from workers.datasets.preprocessing import prepare
from workers.datasets.source import ImageSource, SampleIndex

# Each opener takes the specification of its own kind.
DATASETS: Mapping[str, Callable[[Any], ImageSource]] = {
    "images": open_images,
    "arrays": open_arrays,
    "idx": open_idx,
    "cifar10": open_cifar,
    "cifar100": open_cifar,
    "digits": open_digits,
}

# Kinds whose images are decoded, by libraries that a damaged one may crash.
DECODED = ("images",)

NAMED = 3


@dataclass(frozen=True)
class Dataset:
    """A source of images and how they are prepared for one network."""

    source: ImageSource
    preprocessing: Preprocessing
    # Of every image that was enrolled, uint8 [n, 8]; without them images are taken as they are.
    digests: torch.Tensor | None = None
    # Reads the samples instead, if what may happen then must not happen here.
    reader: IsolatedReader | None = None

    def index(self) -> SampleIndex:
        """All samples in dataset order, unchecked; see `workers.datasets.indexing`."""
        return self.source.index()

    def load(self, positions: Sequence[int]) -> torch.Tensor:
        """The samples at `positions`, in that order: float32 [n, channels, size, size].

        Raises:
            SampleUnreadable: the first of them that cannot be read, or is another image by now.

        """
        found, unreadable = self.load_readable(positions)
        for position, why in unreadable.items():
            raise SampleUnreadable(why, position)
        return found

    def load_readable(self, positions: Sequence[int]) -> Readable:
        """Those of the samples that can be read, as `load` gives them, and what is wrong with the
        others, by position.
        """
        return self.read(positions) if self.reader is None else self.reader(positions)

    def read(self, positions: Sequence[int]) -> Readable:
        """What `load_readable` gives, read in this very process."""
        size = self.preprocessing.size
        shape = (len(positions), self.preprocessing.channels, size, size)
        batch = torch.empty(shape, dtype=torch.float32)
        unreadable: dict[int, str] = {}
        rows = 0
        for position in positions:
            try:
                batch[rows] = self._sample(position)
                rows += 1
            except SampleUnreadable as error:
                unreadable[position] = str(error)
        return batch[:rows], unreadable

    def _sample(self, position: int) -> torch.Tensor:
        stored = self.source.stored(position)
        if self.digests is not None:
            require_same_image(self.digests, position, stored)
        return prepare(stored.decode(), self.preprocessing)

    def of_images(self, digests: torch.Tensor) -> "Dataset":
        """The same samples, no other image taken for one with these digests, uint8 [n, 8]."""
        dataset = replace(self, digests=digests, reader=None)
        if self.reader is None:
            return dataset
        return replace(dataset, reader=IsolatedReader(dataset.read, self.reader.processes))

    def check(self) -> None:
        """Look for everything that samples refer to, without reading it.

        Raises:
            DatasetUnreadable: something is not there.
            SourceOutsideRoot: something lies outside of the folder for sources.

        """
        outside = self.source.outside()
        if outside:
            raise SourceOutsideRoot(
                f"{len(outside)} images are not below the only folder this service enrols from: "
                f"{_named(outside)}"
            )
        missing = self.source.missing()
        if missing:
            raise DatasetUnreadable(
                f"{len(missing)} of {len(self.index().sample_ids)} images are not there: "
                f"{_named(missing)}"
            )


def open_dataset(
    spec: DatasetSpec,
    preprocessing: Preprocessing,
    root: Path | None = None,
    digests: torch.Tensor | None = None,
    *,
    readers: int = 1,
) -> Dataset:
    """The dataset that `spec` names; with `root`, no file outside of that folder is read.

    With `digests`, uint8 [n, 8], no other image is taken for one that was enrolled. Images that
    have to be decoded are, by so many `readers` at once.

    Raises:
        DatasetUnreadable: it is not there, or not what `spec` says.

    """
    source = DATASETS[spec.kind](spec)
    dataset = Dataset(source if root is None else source.confined(root), preprocessing, digests)
    if spec.kind not in DECODED:
        return dataset
    return replace(dataset, reader=IsolatedReader(dataset.read, readers))


def _named(paths: list[str]) -> str:
    return ", ".join(paths[:NAMED]) + (", …" if len(paths) > NAMED else "")
