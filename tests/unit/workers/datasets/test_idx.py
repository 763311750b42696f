"""The MNIST format: what is written comes back, and damaged files are refused."""

import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.errors import DatasetUnreadable, SampleUnreadable
from models.records.states import Split
from models.specifications import IdxSpec
from workers.datasets.idx import open_idx

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([2, 0, 1], np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return header + array.tobytes()


def write(folder: Path, part: str, images, labels, *, zipped: bool = False) -> IdxSpec:
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        path = folder / f"{part}-{name}-ubyte"
        if zipped:
            Path(f"{path}.gz").write_bytes(gzip.compress(idx_bytes(array)))
        else:
            path.write_bytes(idx_bytes(array))
    return IdxSpec(path=str(folder))


@given(
    images=arrays(np.uint8, st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(1, 6))),
    zipped=st.booleans(),
)
def test_images_come_back_as_they_were_written(images: np.ndarray, zipped: bool):
    labels = np.arange(len(images), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        source = open_idx(write(Path(folder), "train", images, labels, zipped=zipped))
        index = source.index()
        assert index.sample_ids == [f"train-{position}" for position in range(len(images))]
        assert index.labels.dtype == np.int64
        assert index.labels.tolist() == labels.tolist()
        assert index.splits is None
        for position, image in enumerate(images):
            assert torch.equal(
                source.stored(position).decode(), torch.from_numpy(image)[None] / 255
            )


@pytest.mark.parametrize("zipped", [False, True])
def test_the_t10k_files_follow_as_the_holdout(tmp_path: Path, zipped: bool):
    write(tmp_path, "train", IMAGES, LABELS)
    source = open_idx(write(tmp_path, "t10k", IMAGES[:2] + 100, LABELS[:2], zipped=zipped))
    index = source.index()
    assert index.sample_ids == ["train-0", "train-1", "train-2", "t10k-0", "t10k-1"]
    assert index.labels.tolist() == [2, 0, 1, 2, 0]
    assert index.splits == [Split.TRAIN] * 3 + [Split.HOLDOUT] * 2
    assert torch.equal(source.stored(4).decode(), torch.from_numpy(IMAGES[1] + 100)[None] / 255)


@pytest.mark.parametrize("position", [-1, 3])
def test_a_position_outside_the_files_is_unreadable(tmp_path: Path, position: int):
    source = open_idx(write(tmp_path, "train", IMAGES, LABELS))
    with pytest.raises(SampleUnreadable, match=f"no sample at position {position}"):
        source.stored(position).decode()


def test_an_unpacked_file_is_not_read_into_memory(tmp_path: Path):
    source = open_idx(write(tmp_path, "train", IMAGES, LABELS))
    assert isinstance(source.arrays[0], np.memmap)


@pytest.mark.parametrize("part", ["train-images-idx3", "train-labels-idx1", "t10k-labels-idx1"])
def test_a_missing_file_is_named(tmp_path: Path, part: str):
    write(tmp_path, "train", IMAGES, LABELS)
    write(tmp_path, "t10k", IMAGES, LABELS)
    (tmp_path / f"{part}-ubyte").unlink()
    with pytest.raises(DatasetUnreadable, match=f"{part}-ubyte is not there"):
        open_idx(IdxSpec(path=str(tmp_path)))


def test_as_many_labels_as_images_are_asked_for(tmp_path: Path):
    with pytest.raises(DatasetUnreadable, match="3 images and 2 labels"):
        open_idx(write(tmp_path, "train", IMAGES, LABELS[:2]))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "too short"),
        (idx_bytes(IMAGES)[:15], "too short"),
        (idx_bytes(IMAGES)[:-1], "holds 59 bytes of data; its header declares 60"),
        (idx_bytes(IMAGES) + b"\0", "holds 61 bytes of data; its header declares 60"),
        (idx_bytes(IMAGES.reshape(3, 20)) + bytes(8), "0x00000802 and not with 0x00000803"),
        (idx_bytes(np.zeros((3, 0, 5), np.uint8)), "images without pixels"),
        (struct.pack(">4I", 0x0803, *[2**32 - 1] * 3), "holds 0 bytes"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(
    tmp_path: Path, zipped: bool, content: bytes, complaint: str
):
    spec = write(tmp_path, "train", IMAGES, LABELS, zipped=zipped)
    path = tmp_path / f"train-images-idx3-ubyte{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DatasetUnreadable, match=f"{path.name} .*{complaint}"):
        open_idx(spec)


def test_damaged_gzip_files_are_refused(tmp_path: Path):
    spec = write(tmp_path, "train", IMAGES, LABELS, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for damaged in (b"", b"not gzip", whole[:30], whole[:10] + b"\xff" * 20 + whole[30:]):
        path.write_bytes(damaged)
        with pytest.raises(DatasetUnreadable, match=r"train-images-idx3-ubyte\.gz"):
            open_idx(spec)
