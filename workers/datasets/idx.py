"""The MNIST format: `train-images-idx3-ubyte` and its like, gzipped or not.

0   magic, big-endian uint32: 0x0801 labels, 0x0803 images
4   the number of items, then height and width for images: big-endian uint32 each
…   one byte per label or pixel
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetUnreadable
from models.records.states import Split
from models.specifications import IdxSpec
from workers.datasets.pixels import PixelArrays
from workers.datasets.source import ImageSource, SampleIndex, expanded

Bytes = NDArray[np.uint8]


def open_idx(spec: IdxSpec) -> ImageSource:
    """The folder's training files, and its t10k files as the holdout if they are there.

    Raises:
        DatasetUnreadable: a file is not there, or its header and its length disagree.

    """
    folder = expanded(spec.path)
    images, labels = _read_part(folder, "train")
    parts = [images]
    sample_ids = [f"train-{position}" for position in range(len(images))]
    splits = None
    if _find(folder / "t10k-images-idx3-ubyte") or _find(folder / "t10k-labels-idx1-ubyte"):
        held_out, held_out_labels = _read_part(folder, "t10k")
        parts.append(held_out)
        labels = np.concatenate([labels, held_out_labels])
        sample_ids += [f"t10k-{position}" for position in range(len(held_out))]
        splits = [Split.TRAIN] * len(images) + [Split.HOLDOUT] * len(held_out)
    samples = SampleIndex(sample_ids, labels.astype(np.int64), splits)
    return PixelArrays(str(folder), samples, parts, brightest=255)


def _read_part(folder: Path, part: str) -> tuple[Bytes, Bytes]:
    """Images [n, h, w] and labels [n] of `train` or `t10k`."""
    images = _read(folder / f"{part}-images-idx3-ubyte", dimensions=3)
    labels = _read(folder / f"{part}-labels-idx1-ubyte", dimensions=1)
    if len(images) != len(labels):
        raise DatasetUnreadable(
            f"{folder}: {part} has {len(images)} images and {len(labels)} labels."
        )
    return images, labels


def _find(path: Path) -> Path | None:
    candidates = (path, path.with_name(f"{path.name}.gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read(path: Path, *, dimensions: int) -> Bytes:
    found = _find(path)
    if found is None:
        raise DatasetUnreadable(f"{path} is not there, and neither is {path.name}.gz.")
    try:
        return _unzipped(found, dimensions) if found.suffix == ".gz" else _mapped(found, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetUnreadable(f"{found} cannot be read: {error}") from error


def _unzipped(path: Path, dimensions: int) -> Bytes:
    with gzip.open(path) as file:
        shape = _shape(path, file.read(4 + 4 * dimensions), dimensions)
        data = file.read()
    _check_length(path, shape, len(data))
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _mapped(path: Path, dimensions: int) -> Bytes:
    header = 4 + 4 * dimensions
    with path.open("rb") as file:
        shape = _shape(path, file.read(header), dimensions)
    _check_length(path, shape, path.stat().st_size - header)
    if not math.prod(shape):
        return np.zeros(shape, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r", offset=header, shape=shape)


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    if len(header) < 4 + 4 * dimensions:
        raise DatasetUnreadable(f"{path} is too short to have a header.")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
    expected = 0x0800 + dimensions
    if magic != expected:
        raise DatasetUnreadable(
            f"{path} begins with 0x{magic:08x} and not with 0x{expected:08x}: "
            f"it is no IDX file of bytes in {dimensions} dimension(s)."
        )
    if 0 in shape[1:]:
        raise DatasetUnreadable(f"{path} declares images without pixels.")
    return tuple(shape)


def _check_length(path: Path, shape: tuple[int, ...], found: int) -> None:
    expected = math.prod(shape)
    if found != expected:
        raise DatasetUnreadable(
            f"{path} holds {found} bytes of data; its header declares {expected}."
        )
