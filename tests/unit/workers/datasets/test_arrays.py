"""One .npz file: which arrays are taken, and how the others are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import DatasetUnreadable, SampleUnreadable
from models.records.states import Split
from models.specifications import ArraysSpec
from workers.datasets.arrays import open_arrays

GOOD = {
    "ids": np.array(["a", "b"]),
    "images": np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3),
    "labels": np.array([1, 0], np.uint8),
}


def stored(folder: Path, **arrays) -> ArraysSpec:
    path = folder / "data.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return ArraysSpec(path=str(path))


def test_ids_labels_and_images_come_back_in_order(tmp_path: Path):
    source = open_arrays(stored(tmp_path, **GOOD))
    index = source.index()
    assert index.sample_ids == ["a", "b"]
    assert index.labels.dtype == np.int64
    assert index.labels.tolist() == [1, 0]
    assert index.splits is None
    assert torch.equal(source.stored(1).decode(), torch.from_numpy(GOOD["images"][1])[None] / 255)


def test_integer_ids_become_text(tmp_path: Path):
    spec = stored(tmp_path, **GOOD | {"ids": np.array([12, 7])})
    assert open_arrays(spec).index().sample_ids == ["12", "7"]


def test_declared_splits_are_read(tmp_path: Path):
    spec = stored(tmp_path, **GOOD, splits=np.array(["train", "holdout"]))
    assert open_arrays(spec).index().splits == [Split.TRAIN, Split.HOLDOUT]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_images_are_taken_as_they_are(tmp_path: Path, channels: int, dtype):
    images = np.random.default_rng(0).random((2, 4, 5, channels)).astype(dtype)
    image = open_arrays(stored(tmp_path, **GOOD | {"images": images})).stored(0).decode()
    assert image.dtype == torch.float32
    assert image.shape == (channels, 4, 5)
    assert np.array_equal(image.permute(1, 2, 0).numpy(), images[0].astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_non_finite_image_is_unreadable_and_spares_the_others(tmp_path: Path, value: float):
    images = np.zeros((2, 2, 2), np.float32)
    images[1, 0, 0] = value
    source = open_arrays(stored(tmp_path, **GOOD | {"images": images}))
    assert source.stored(0).decode().shape == (1, 2, 2)
    with pytest.raises(SampleUnreadable, match="position 1") as caught:
        source.stored(1).decode()
    assert caught.value.position == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"images": None}, "no array named images"),
        ({"ids": None, "labels": None}, "no array named ids or labels"),
        ({"ids": np.array(["a"])}, r"ids has the shape \[1\]; it must be \[2\]"),
        ({"labels": np.array([[1], [0]])}, r"labels has the shape \[2, 1\]"),
        ({"labels": np.array([0.0, 1.0])}, "labels must be integers, not float64"),
        ({"ids": np.array([0.0, 1.0])}, "ids must be text or integers"),
        ({"ids": np.array(["a", None], object)}, "cannot be read as an .npz archive"),
        ({"images": np.zeros((2, 8), np.uint8)}, r"the shape \[2, 8\]"),
        ({"images": np.zeros((2, 8, 8, 4), np.uint8)}, r"the shape \[2, 8, 8, 4\]"),
        ({"images": np.zeros((2, 0, 8), np.uint8)}, r"the shape \[2, 0, 8\]"),
        ({"images": np.zeros((2, 8, 8), np.int64)}, "uint8 or floats, not int64"),
        ({"images": np.full((2, 8, 8), 2.0)}, r"position 0 has pixels outside \[0, 1\]"),
        ({"splits": np.array(["train", "test"])}, "split of sample 1 is 'test'"),
        ({"splits": np.array([0, 1])}, "splits must be text"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_reason(tmp_path: Path, change, complaint):
    with pytest.raises(DatasetUnreadable, match=complaint):
        open_arrays(stored(tmp_path, **GOOD | change))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DatasetUnreadable, match=r"absent\.npz"):
        open_arrays(ArraysSpec(path=str(tmp_path / "absent.npz")))


def test_a_damaged_archive_is_refused(tmp_path: Path):
    spec = stored(tmp_path, **GOOD)
    whole = Path(spec.path).read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(bytes(GOOD["images"]))] ^= 1
    for damaged in (b"", b"not an archive", whole[: len(whole) // 2], flipped):
        Path(spec.path).write_bytes(damaged)
        with pytest.raises(DatasetUnreadable, match=r"data\.npz"):
            open_arrays(spec)


def test_a_single_array_is_refused(tmp_path: Path):
    np.save(tmp_path / "x.npy", GOOD["images"])
    with pytest.raises(DatasetUnreadable, match="a single array"):
        open_arrays(ArraysSpec(path=str(tmp_path / "x.npy")))
