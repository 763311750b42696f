"""What every kind of dataset offers: an index of its samples, and one image at a time.

A sample's position is its place in the dataset's order. Positions are what everything else keeps,
so a dataset must not be reordered once it is enrolled; the manifest digest tells if it was, and
the digests of images (`workers/datasets/digests.py`) whether one of them is another one by now.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import DatasetUnreadable
from models.records.states import Split

# Files that are looked for or read at once: that is waiting, and one does not hold the others up.
READERS = 8

# A sample's position, and its label.
Position = tuple[int, int]


@dataclass(frozen=True, eq=False)
class SampleIndex:
    """The samples in dataset order: `sample_ids`, `labels` (int64 [n]) and `splits`.

    `splits` is None where the dataset declares no holdout.
    """

    sample_ids: list[str]
    labels: NDArray[np.int64]
    splits: list[Split] | None


@dataclass(frozen=True)
class StoredImage:
    """One image as it is stored: its bytes, and what makes pixels of exactly these."""

    content: bytes
    decode: Callable[[], torch.Tensor]


class ImageSource(Protocol):
    """A dataset as it is stored, before preprocessing."""

    def index(self) -> SampleIndex:
        """All samples, as the dataset declares them: nothing is checked yet."""

    def stored(self, position: int) -> StoredImage:
        """One image, not decoded yet: float32 [c, h, w] in [0, 1], c is 1 (grey) or 3 (RGB).

        Raises:
            SampleUnreadable: there is no such sample any more, or it cannot be read. Decoding
                raises that as well.

        """

    def confined(self, root: Path) -> "ImageSource":
        """The source, reading no file outside of `root`, by whatever way it is named.

        Most sources are files that a specification names, which are checked before they are
        opened; this is for those that go on to name others.
        """
        del root
        return self

    def outside(self) -> list[str]:
        """What samples refer to outside of the folder that the source is confined to."""
        return []

    def missing(self) -> list[str]:
        """What samples refer to and cannot be found; nothing, where opening reads it all."""
        return []


def expanded(path: str) -> Path:
    """A path of a specification, with `~` as the worker's home."""
    return Path(os.path.expanduser(path))


def declared_splits(words: Iterable[str], file: Path) -> list[Split]:
    """The splits that `file` declares, sample by sample.

    Raises:
        DatasetUnreadable: a word that names no split.

    """
    known = {split.value: split for split in Split}
    splits = []
    for position, word in enumerate(words):
        if word not in known:
            raise DatasetUnreadable(
                f"{file}: the split of sample {position} is {word!r}; "
                f"it must be {' or '.join(known)}."
            )
        splits.append(known[word])
    return splits
