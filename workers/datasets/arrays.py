"""One .npz file: `ids`, `images`, `labels` and perhaps `splits`, equally long."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetUnreadable
from models.specifications import ArraysSpec
from workers.datasets.pixels import PixelArrays
from workers.datasets.source import ImageSource, SampleIndex, declared_splits, expanded

Arrays = Mapping[str, NDArray[Any]]

REQUIRED = ("ids", "images", "labels")

# numpy's letters for the kinds of numbers and text.
INTEGERS = "iu"
IDENTIFIERS = "iuU"
TEXT = "U"


def open_arrays(spec: ArraysSpec) -> ImageSource:
    """The file's images: uint8, or floats in [0, 1]; [n, h, w] or [n, h, w, c], c 1 or 3.

    Raises:
        DatasetUnreadable: the file is no .npz archive of such arrays.

    """
    path = expanded(spec.path)
    arrays = _read(path)
    _check_shapes(path, arrays)
    images, labels = arrays["images"], arrays["labels"]
    _check_kind(path, "ids", arrays["ids"], IDENTIFIERS, "text or integers")
    _check_kind(path, "labels", labels, INTEGERS, "integers")
    splits = None
    if "splits" in arrays:
        _check_kind(path, "splits", arrays["splits"], TEXT, "text")
        splits = declared_splits(arrays["splits"].tolist(), path)
    sample_ids = [str(sample_id) for sample_id in arrays["ids"].tolist()]
    samples = SampleIndex(sample_ids, labels.astype(np.int64), splits)
    return PixelArrays(str(path), samples, [images], brightest=_brightest(path, images))


def _read(path: Path) -> Arrays:
    try:
        with path.open("rb") as stream:
            # Pickled objects would run code of the file's author.
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DatasetUnreadable(f"{path} is a single array and no .npz archive.")
            arrays = {name: file[name] for name in (*REQUIRED, "splits") if name in file}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetUnreadable(f"{path} cannot be read as an .npz archive: {error}") from error
    absent = [name for name in REQUIRED if name not in arrays]
    if absent:
        raise DatasetUnreadable(f"{path} has no array named {' or '.join(absent)}.")
    return arrays


def _check_shapes(path: Path, arrays: Arrays) -> None:
    shape = arrays["images"].shape
    grey_or_colour = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    if not grey_or_colour or 0 in shape[1:]:
        raise DatasetUnreadable(
            f"{path}: images have the shape {list(shape)}; "
            "it must be [n, h, w] or [n, h, w, c] with c 1 or 3."
        )
    for name, array in arrays.items():
        if name != "images" and array.shape != shape[:1]:
            raise DatasetUnreadable(
                f"{path}: {name} has the shape {list(array.shape)}; "
                f"it must be [{shape[0]}], one for each image."
            )


def _check_kind(path: Path, name: str, array: NDArray[Any], kinds: str, words: str) -> None:
    if array.dtype.kind not in kinds:
        raise DatasetUnreadable(f"{path}: {name} must be {words}, not {array.dtype}.")


def _brightest(path: Path, images: NDArray[Any]) -> float:
    if images.dtype == np.uint8:
        return 255
    if images.dtype.kind != "f":
        raise DatasetUnreadable(f"{path}: images must be uint8 or floats, not {images.dtype}.")
    # NaN and infinity are one sample's damage and are reported when it is read.
    outside = ((images < 0) | (images > 1)) & np.isfinite(images)
    if outside.any():
        position = int(outside.reshape(len(images), -1).any(axis=1).argmax())
        raise DatasetUnreadable(
            f"{path}: the image at position {position} has pixels outside [0, 1]. "
            "Scale float images to [0, 1], or store them as uint8."
        )
    return 1
