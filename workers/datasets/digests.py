"""Digests of images: is an image still the one that was enrolled?

What is measured of a forgotten sample is worth nothing if its image is another one by then: a
placeholder that a deletion has left, say. Digests are of what is stored, not of pixels: libraries
that decode are exchanged more often than images are.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch

from models.errors import DatasetUnreadable, SampleUnreadable
from workers.datasets.source import READERS, ImageSource, StoredImage

# Enough that no exchanged image is taken for the one before; more would be kept for nothing.
DIGEST_BYTES = 8
# Images for one of them at a time.
PIECE = 64


def digest_images(source: ImageSource, count: int, go_on: Callable[[], None]) -> torch.Tensor:
    """The digests of `count` images, uint8 [count, 8], in dataset order.

    `go_on` is called every now and then; what it raises ends the pass. Raises `DatasetUnreadable`
    naming an image that cannot be read.
    """
    found = torch.empty((count, DIGEST_BYTES), dtype=torch.uint8)
    piece = partial(_digests_of, source)
    with ThreadPoolExecutor(READERS) as readers:
        for pieces in _pieces(count):
            go_on()
            try:
                content = bytearray(b"".join(readers.map(piece, pieces)))
            except SampleUnreadable as error:
                raise DatasetUnreadable(str(error)) from error
            rows = torch.frombuffer(content, dtype=torch.uint8).view(-1, DIGEST_BYTES)
            found[pieces[0].start : pieces[-1].stop] = rows
    return found


def require_same_image(digests: torch.Tensor, position: int, stored: StoredImage) -> None:
    """Raise `SampleUnreadable` if that is not the image that was at this position."""
    if _digest(stored) != digests[position].numpy().tobytes():
        raise SampleUnreadable(
            f"The image at position {position} is not the one that was enrolled: what is stored "
            "there has changed since. What the network has learnt of a sample can only be measured "
            "on its own image; put it back, and ask again.",
            position,
        )


def _pieces(count: int) -> Iterator[list[range]]:
    """As many pieces as there are readers, again and again: never all of a large dataset."""
    at_once = PIECE * READERS
    for start in range(0, count, at_once):
        stop = min(start + at_once, count)
        yield [range(first, min(first + PIECE, stop)) for first in range(start, stop, PIECE)]


def _digests_of(source: ImageSource, positions: range) -> bytes:
    return b"".join(_digest(source.stored(position)) for position in positions)


def _digest(stored: StoredImage) -> bytes:
    return hashlib.blake2b(stored.content, digest_size=DIGEST_BYTES).digest()
