"""Streaming files comes to what a run computes, and refuses files that do not belong together."""

import resource
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.artifacts import Artifact
from models.artifacts.filesystem import FilesystemStore
from models.errors import WeightsMismatch
from workers.streaming import StreamedCohort, dampen_stored
from workers.tensors import write_tensors
from workers.unlearning.dampening import Population, apply_factors, tighten, unit_factors
from workers.unlearning.tuning import Setting

WEIGHTS = {"a": torch.ones(3), "b": torch.ones(2, 2), "count": torch.ones((), dtype=torch.int64)}
SUMS = {"a": torch.ones(3).double(), "b": torch.ones(2, 2).double()}


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


def put(store: FilesystemStore, tensors: Mapping[str, Tensor]) -> Artifact:
    return store.put(lambda writer: write_tensors(writer, tensors, {}))


def dampen(
    store: FilesystemStore, full: Mapping[str, Tensor], forget: Mapping[str, Tensor]
) -> Artifact:
    cohort = StreamedCohort([put(store, forget)], Population(10, 2), Setting(1.0, 1.0))
    base, of_full = put(store, WEIGHTS), put(store, full)
    return store.put(lambda writer: dampen_stored(base, of_full, [cohort], {}, store, writer))


@pytest.mark.parametrize("numbers", [3, 6, 9])
def test_many_files_share_their_memory_and_come_to_the_same(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    forget = {"a": torch.tensor([0.1, 0.5, 0.9]).double(), "b": SUMS["b"] / 2}
    whole = dampen(store, SUMS, forget)
    monkeypatch.setattr("workers.streaming.OF_ALL", numbers)
    assert dampen(store, SUMS, forget) == whole


def test_there_may_be_more_labels_than_files_may_be_open_at_first(store: FilesystemStore) -> None:
    labels = [put(store, SUMS | {"a": torch.full((3,), n / 400).double()}) for n in range(400)]
    cohort = StreamedCohort(labels, Population(10, 2), Setting(1.0, 1.0))
    base, full = put(store, WEIGHTS), put(store, {name: 800 * sums for name, sums in SUMS.items()})
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        store.put(lambda writer: dampen_stored(base, full, [cohort], {}, store, writer))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_files_that_belong_together_are_dampened(store: FilesystemStore) -> None:
    dampen(store, SUMS, SUMS)


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.ones(3).double(), "c": torch.ones(2, 2).double()},
        {"a": torch.ones(2).double(), "b": torch.ones(2, 2).double()},
        {"a": torch.ones(3).double(), "aa": torch.ones(3).double(), "b": SUMS["b"]},
        {"a": torch.ones(3).double()},
    ],
)
def test_sums_of_another_network_are_refused_and_nothing_is_stored(
    store: FilesystemStore, other: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(WeightsMismatch):
        dampen(store, SUMS, other)
    # The base and the two files of sums; no checkpoint, whole or half.
    assert sum(path.is_file() for path in tmp_path.glob("store/*/*/*")) == 3


@pytest.mark.parametrize("numbers", [4, 12, 1 << 20])
def test_parameters_of_several_number_formats_are_dampened_as_a_run_does_it(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    # The base lies in the order of their widths, and sums, which are all float64, by name.
    monkeypatch.setattr("workers.streaming.OF_ALL", numbers)
    base = {
        "a": torch.randn(5, 3).bfloat16(),
        "b": torch.randn(7),
        "c": torch.randn(4).double(),
        "d": torch.randn(6).half(),
        "e": torch.randn(2, 2),
        "count": torch.ones((), dtype=torch.int64),
    }
    full = {name: torch.rand(t.shape).double() for name, t in base.items() if name != "count"}
    labels = [{name: sums * torch.rand(sums.shape) / 2 for name, sums in full.items()}] * 2
    population, setting = Population(10, 2), Setting(1.0, 0.5)
    factors = unit_factors(full)
    forget = {name: labels[0][name] + labels[1][name] for name in full}
    tighten(factors, full, forget, population, selection=1.0, strength=0.5)
    assert all((factor < 1).any() for factor in factors.values())

    stored = [put(store, sums) for sums in labels]
    cohort = StreamedCohort(stored, population, setting)
    of_base, of_full = put(store, base), put(store, full)
    found = store.put(lambda w: dampen_stored(of_base, of_full, [cohort], {}, store, w))
    assert found == put(store, apply_factors(base, factors))
