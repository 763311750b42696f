"""PNG and JPEG files named by a manifest, a CSV or Parquet table with one row per sample.

sample_id   text, or integers that are read as text
path        of the image, relative to the manifest's folder
label       an integer
split       optional: train or holdout
"""

import errno
import io
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.errors import DatasetUnreadable, SampleUnreadable
from models.specifications import ImagesSpec
from workers.datasets.source import (
    READERS,
    ImageSource,
    SampleIndex,
    StoredImage,
    declared_splits,
    expanded,
)

COLUMNS = {
    "sample_id": pyarrow.string(),
    "path": pyarrow.string(),
    "label": pyarrow.int64(),
    "split": pyarrow.string(),
}
OPTIONAL = "split"

GREY_MODES = ("1", "L", "LA")

# No photograph has as many; what a path may come to name instead, a device say, may have no end.
MOST_BYTES = 128 << 20
# Paths that one reader looks for at a time.
PIECE = 1024

# What Pillow's PNG and JPEG decoders raise for damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


# What the system says of a mount that is gone or a process that has too much open, not of a file.
AWAY = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EMFILE,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


@dataclass(frozen=True, eq=False)
class ImageFiles(ImageSource):
    """The rows of one manifest; paths stay in Arrow's memory, far less than as Python strings."""

    manifest: Path
    samples: SampleIndex
    paths: pyarrow.ChunkedArray
    root: Path | None = None

    def index(self) -> SampleIndex:
        """The samples in the manifest's order."""
        return self.samples

    def stored(self, position: int) -> StoredImage:
        """One file, and float32 [c, h, w] in [0, 1] of it; c is 1 for grey files, else 3."""
        path = self._path(position)
        with self._named_if_damaged(position):
            content = _content(path)
        return StoredImage(content, lambda: self._decoded(content, position))

    def _decoded(self, content: bytes, position: int) -> torch.Tensor:
        with self._named_if_damaged(position):
            pixels = _pixels(content)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def _path(self, position: int) -> Path:
        if not 0 <= position < len(self.paths):
            raise SampleUnreadable(
                f"{self.manifest} has no row {position}; it was longer when it was enrolled.",
                position,
            )
        path: Path = self.manifest.parent / self.paths[position].as_py()
        if not self._is_inside(path):
            raise SampleUnreadable(
                f"{self._named(position)} is not below the folder that images may come from.",
                position,
            )
        return path

    @contextmanager
    def _named_if_damaged(self, position: int) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            if isinstance(error, OSError) and (error.errno in AWAY or not self.manifest.is_file()):
                raise DatasetUnreadable(
                    f"{self.manifest.parent} cannot be read at the moment: {error.strerror}."
                ) from error
            # As the manifest has it: where that lies is no business of who asks.
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise SampleUnreadable(
                f"{self._named(position)} cannot be read: {reason}", position
            ) from error

    def _named(self, position: int) -> str:
        return f"{self.paths[position].as_py()}, the image at position {position},"

    def confined(self, root: Path) -> "ImageFiles":
        """The source, but that files outside of `root` cannot be read."""
        return replace(self, root=root.resolve())

    def outside(self) -> list[str]:
        """Paths of the manifest that lead out of the root."""
        folder = self.manifest.parent
        return self._paths_that(lambda path: not self._is_inside(folder / path))

    def missing(self) -> list[str]:
        """Paths of the manifest that are no files."""
        folder = self.manifest.parent
        return self._paths_that(lambda path: not os.path.isfile(os.path.join(folder, path)))

    def _paths_that(self, are_wrong: Callable[[str], bool]) -> list[str]:
        """In the manifest's order. Looking for a file over a network is mostly waiting."""

        def among(start: int) -> list[str]:
            return [path for path in self.paths.slice(start, PIECE).to_pylist() if are_wrong(path)]

        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(among, range(0, len(self.paths), PIECE))
            return list(chain.from_iterable(found))

    def _is_inside(self, path: Path) -> bool:
        return self.root is None or path.resolve().is_relative_to(self.root)


def open_images(spec: ImagesSpec) -> ImageSource:
    """The images that the manifest names; it is Parquet if its name ends so, else CSV.

    Raises:
        DatasetUnreadable: the manifest cannot be read, lacks a column, or has an empty or
            impossible value.

    """
    manifest = expanded(spec.manifest)
    try:
        table = _read(manifest)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DatasetUnreadable(f"{manifest} cannot be read: {error}") from error
    columns = {name: _column(manifest, table, name) for name in _present(manifest, table)}
    splits = None
    if OPTIONAL in columns:
        splits = declared_splits(columns[OPTIONAL].to_pylist(), manifest)
    samples = SampleIndex(columns["sample_id"].to_pylist(), columns["label"].to_numpy(), splits)
    return ImageFiles(manifest, samples, columns["path"])


def _read(manifest: Path) -> pyarrow.Table:
    if manifest.suffix.lower() == ".parquet":
        # As one file: `read_table` would take folders named `split=train` for columns.
        with pyarrow.parquet.ParquetFile(manifest) as file:
            return file.read()
    # Typed beforehand: a guess would turn the sample ID 007 into 7.
    options = pyarrow.csv.ConvertOptions(column_types=COLUMNS)
    return pyarrow.csv.read_csv(manifest, convert_options=options)


def _present(manifest: Path, table: pyarrow.Table) -> list[str]:
    for name in COLUMNS:
        count = table.column_names.count(name)
        if count > 1 or (count == 0 and name != OPTIONAL):
            raise DatasetUnreadable(
                f"{manifest} has {count or 'no'} columns named {name}; its columns are "
                f"{', '.join(table.column_names)}."
            )
    return [name for name in COLUMNS if name in table.column_names]


def _column(manifest: Path, table: pyarrow.Table, name: str) -> pyarrow.ChunkedArray:
    column = table.column(name)
    if pyarrow.types.is_floating(column.type):
        raise DatasetUnreadable(f"{manifest}: {name} holds {column.type} numbers.")
    try:
        column = column.cast(COLUMNS[name])
    except pyarrow.ArrowException as error:
        raise DatasetUnreadable(f"{manifest}: {name} cannot be read: {error}") from error
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise DatasetUnreadable(f"{manifest}: {name} is empty in row {row}, counted from 0.")
    return column


def _content(path: Path) -> bytes:
    # Without waiting: what is no file may keep whoever opens it until somebody writes to it.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no file")
        # Not as much as it may have: room for that would be made first.
        content = file.read(min(found.st_size, MOST_BYTES) + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
    return content


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
    except UnidentifiedImageError as error:
        raise ValueError("it is neither PNG nor JPEG") from error


def _pixels(content: bytes) -> NDArray[np.float32]:
    """Pixels [h, w, 1 or 3] in [0, 1]; EXIF rotation is not applied, as in torchvision."""
    with _opened(content) as image:
        # 16 bits per pixel: Pillow's own conversion would clip them to 255.
        if image.mode.startswith("I"):
            return np.asarray(image, dtype=np.float32)[:, :, np.newaxis] / np.float32(65535)
        grey = image.mode in GREY_MODES
        pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32)
    return pixels.reshape(*pixels.shape[:2], -1) / np.float32(255)
