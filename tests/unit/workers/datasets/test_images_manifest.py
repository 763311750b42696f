"""Manifests of image files: CSV and Parquet tables, and everything wrong with them."""

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from models.errors import DatasetUnreadable
from models.records.states import Split
from models.specifications import ImagesSpec
from workers.datasets.images import open_images


def manifest(folder: Path, text: str) -> ImagesSpec:
    path = folder / "manifest.csv"
    path.write_text(text)
    return ImagesSpec(manifest=str(path))


def parquet(folder: Path, **columns) -> ImagesSpec:
    path = folder / "manifest.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return ImagesSpec(manifest=str(path))


def test_a_csv_manifest_is_read_in_its_order(tmp_path: Path):
    text = "path,label,sample_id,note\nx.png,3,b,1\ny.png,1,a,2\n"
    index = open_images(manifest(tmp_path, text)).index()
    assert index.sample_ids == ["b", "a"]
    assert index.labels.dtype == np.int64
    assert index.labels.tolist() == [3, 1]
    assert index.splits is None


def test_declared_splits_are_read(tmp_path: Path):
    text = "sample_id,path,label,split\na,x.png,0,holdout\nb,y.png,0,train\n"
    assert open_images(manifest(tmp_path, text)).index().splits == [Split.HOLDOUT, Split.TRAIN]


def test_sample_ids_that_look_like_numbers_stay_text(tmp_path: Path):
    text = "sample_id,path,label\n007,x.png,0\n1e3,y.png,0\nNA,z.png,0\n"
    assert open_images(manifest(tmp_path, text)).index().sample_ids == ["007", "1e3", "NA"]


@pytest.mark.parametrize(
    "ids", [["b", "a"], [12, -7], pyarrow.array(["b", "a"]).dictionary_encode()]
)
def test_a_parquet_manifest_may_hold_text_or_integers(tmp_path: Path, ids):
    index = open_images(parquet(tmp_path, sample_id=ids, path=["x", "y"], label=[1, 0])).index()
    assert index.sample_ids == [str(value) for value in pyarrow.array(ids).to_pylist()]
    assert index.labels.tolist() == [1, 0]


def test_a_manifest_without_rows_has_no_samples(tmp_path: Path):
    source = open_images(manifest(tmp_path, "sample_id,path,label\n"))
    assert source.index().sample_ids == []
    assert len(source.index().labels) == 0
    assert source.missing() == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "manifest.csv cannot be read"),
        ("sample_id,label\na,0\n", "no columns named path; its columns are sample_id, label"),
        ("sample_id,path,label,label\na,x,0,1\n", "2 columns named label"),
        ("sample_id,path,label\na,x,cat\n", "manifest.csv cannot be read.*cat"),
        ("sample_id,path,label\na,x,1\nb,y,\n", "label is empty in row 1"),
        ("sample_id,path,label\na,x\n", "manifest.csv cannot be read"),
        (
            "sample_id,path,label,split\na,x,0,test\n",
            "split of sample 0 is 'test'.*train or holdout",
        ),
    ],
)
def test_a_bad_csv_manifest_is_refused_with_the_reason(tmp_path: Path, text: str, complaint: str):
    with pytest.raises(DatasetUnreadable, match=f"(?s){complaint}"):
        open_images(manifest(tmp_path, text))


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"sample_id": [1.0], "path": ["x"], "label": [0]}, "sample_id holds double numbers"),
        ({"sample_id": ["a"], "path": ["x"], "label": [0.5]}, "label holds double numbers"),
        ({"sample_id": ["a"], "path": ["x"], "label": ["cat"]}, "label cannot be read"),
        (
            {"sample_id": ["a", None], "path": ["x", "y"], "label": [0, 0]},
            "sample_id is empty in row 1",
        ),
    ],
)
def test_a_bad_parquet_manifest_is_refused_with_the_reason(tmp_path: Path, columns, complaint):
    with pytest.raises(DatasetUnreadable, match=complaint):
        open_images(parquet(tmp_path, **columns))


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet"])
def test_a_missing_manifest_is_named(tmp_path: Path, name: str):
    with pytest.raises(DatasetUnreadable, match=name):
        open_images(ImagesSpec(manifest=str(tmp_path / name)))


def test_a_parquet_manifest_that_is_something_else_is_refused(tmp_path: Path):
    (tmp_path / "m.parquet").write_text("sample_id,path,label\n")
    with pytest.raises(DatasetUnreadable, match=r"m\.parquet cannot be read"):
        open_images(ImagesSpec(manifest=str(tmp_path / "m.parquet")))


def test_partition_like_folder_names_do_not_become_columns(tmp_path: Path):
    folder = tmp_path / "split=holdout"
    folder.mkdir()
    spec = parquet(folder, sample_id=["a"], path=["x"], label=[0])
    assert open_images(spec).index().splits is None
