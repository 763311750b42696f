"""The dataset as a whole: opening by kind, loading by position, checking before enrolment."""

import typing
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import DatasetUnreadable, SampleUnreadable
from models.specifications import ArraysSpec, DatasetSpec, DigitsSpec, ImagesSpec, Preprocessing
from workers.datasets import DATASETS, open_dataset
from workers.datasets.preprocessing import prepare

GREY = Preprocessing(size=8, channels=1, mean=[0], std=[1])


def test_every_kind_that_can_be_declared_can_be_opened():
    union, _ = typing.get_args(DatasetSpec)
    declared = {
        kind
        for spec in typing.get_args(union)
        for kind in typing.get_args(spec.model_fields["kind"].annotation)
    }
    assert declared == DATASETS.keys()


def test_samples_are_loaded_in_the_order_asked_for():
    dataset = open_dataset(DigitsSpec(), GREY)
    batch = dataset.load([5, 0, 5])
    assert batch.dtype == torch.float32
    assert batch.shape == (3, 1, 8, 8)
    assert torch.equal(batch[0], batch[2])
    assert torch.equal(batch[1], prepare(dataset.source.stored(0).decode(), GREY))


def test_no_positions_make_an_empty_batch():
    assert open_dataset(DigitsSpec(), Preprocessing(size=12, mean=[0], std=[1])).load([]).shape == (
        0,
        3,
        12,
        12,
    )


def test_a_samples_tensor_does_not_depend_on_its_batch():
    dataset = open_dataset(DigitsSpec(), Preprocessing(size=13, mean=[0.3], std=[0.7]))
    together = dataset.load(range(20))
    assert torch.equal(together, torch.cat([dataset.load([position]) for position in range(20)]))


def test_an_unreadable_sample_in_a_batch_tells_its_position():
    with pytest.raises(SampleUnreadable) as caught:
        open_dataset(DigitsSpec(), GREY).load([0, 5000])
    assert caught.value.position == 5000


def test_the_first_missing_images_are_named_and_all_are_counted(tmp_path: Path):
    rows = "".join(f"s{number},{number}.png,0\n" for number in range(5))
    (tmp_path / "m.csv").write_text("sample_id,path,label\n" + rows)
    (tmp_path / "2.png").touch()
    dataset = open_dataset(ImagesSpec(manifest=str(tmp_path / "m.csv")), GREY)
    with pytest.raises(DatasetUnreadable, match=r"^4 of 5 .*: 0\.png, 1\.png, 3\.png, …$"):
        dataset.check()


def test_a_dataset_that_is_all_there_passes_the_check():
    open_dataset(DigitsSpec(), GREY).check()


def test_a_path_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ids, labels = np.array(["a"]), np.array([0])
    np.savez(tmp_path / "data.npz", ids=ids, images=np.zeros((1, 8, 8), np.uint8), labels=labels)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_dataset(ArraysSpec(path="~/data.npz"), GREY).load([0]).shape == (1, 1, 8, 8)


def test_images_are_decoded_by_as_many_processes_as_are_asked_for(tmp_path: Path):
    (tmp_path / "m.csv").write_text("sample_id,path,label\ns,s.png,0\n")
    spec = ImagesSpec(manifest=str(tmp_path / "m.csv"))
    dataset = open_dataset(spec, GREY, readers=3)
    for each in (dataset, dataset.of_images(torch.zeros((1, 8), dtype=torch.uint8))):
        assert each.reader is not None
        assert each.reader.processes == 3
