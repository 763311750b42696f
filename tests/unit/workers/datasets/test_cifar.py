"""CIFAR: torchvision's layout, with its table of MD5 sums replaced by that of small files."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from models.errors import DatasetUnreadable
from models.records.states import Split
from models.specifications import CifarSpec
from workers.datasets.cifar import open_cifar

PIXELS = np.arange(3 * 3 * 32 * 32, dtype=np.uint32).astype(np.uint8).reshape(3, 3 * 32 * 32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two training images and a test image, in files that torchvision takes for CIFAR-10."""
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()

    def store(name: str, content: dict) -> list[str]:
        data = pickle.dumps(content)
        (base / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    train = store("data_batch_1", {"data": PIXELS[:2], "labels": [3, 9]})
    test = store("test_batch", {"data": PIXELS[2:], "labels": [1]})
    name, md5 = store("batches.meta", {"label_names": list("abcdefghij")})
    meta = {"filename": name, "key": "label_names", "md5": md5}
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", [train])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", [test])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "meta", meta)
    return tmp_path


def test_the_test_images_follow_as_the_holdout(folder: Path):
    source = open_cifar(CifarSpec(kind="cifar10", path=str(folder)))
    index = source.index()
    assert index.sample_ids == ["train-0", "train-1", "test-0"]
    assert index.labels.tolist() == [3, 9, 1]
    assert index.splits == [Split.TRAIN, Split.TRAIN, Split.HOLDOUT]
    for position, pixels in enumerate(PIXELS):
        expected = torch.from_numpy(pixels.reshape(3, 32, 32)) / 255
        assert torch.equal(source.stored(position).decode(), expected)


def test_a_damaged_file_is_refused(folder: Path):
    path = folder / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DatasetUnreadable, match=r"does not hold cifar10.*damaged"):
        open_cifar(CifarSpec(kind="cifar10", path=str(folder)))


@pytest.mark.parametrize("kind", ["cifar10", "cifar100"])
def test_an_empty_folder_is_refused_with_what_to_do(tmp_path: Path, kind):
    with pytest.raises(DatasetUnreadable, match=f"does not hold {kind}.*allow download"):
        open_cifar(CifarSpec(kind=kind, path=str(tmp_path)))
