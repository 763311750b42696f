"""Enrolment by two processes: the same sums, a kill that costs one shard, errors in words."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.artifacts import Artifact
from models.errors import RankRefused, RanksFailed
from models.records import FisherSums, ModelState
from models.registry import find_model, register_model
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import Digits, enrol_model
from workers.enrolment import enrol
from workers.preparation import prepare
from workers.ranks import sum_in_ranks
from workers.resources import open_resources
from workers.shards import ShardLog, sum_shards
from workers.tensors import read_tensors
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import Sums

SHARD = 20


@pytest.fixture
def two(settings: Settings) -> Settings:
    """Settings of enrolments by two processes, in small shards."""
    return settings.model_copy(update={"processes": 2, "shard_size": SHARD})


def by_one_process(digits: Digits, log: Path, settings: Settings | None = None) -> Sums:
    """The sums by this process alone, in one shard."""
    prepared = prepare(digits.enrolment, None, torch.device("cpu"))
    return sum_shards(
        prepared.network,
        estimator_of(digits.enrolment.estimator),
        prepared.indexed.dataset,
        prepared.indexed.training(),
        ShardLog(log),
        settings or Settings(),
        lambda _count: None,
    )


def require_equal(found: Sums, expected: Sums) -> None:
    """Within 1e-6 of the largest entry of each tensor."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert float((found[name] - tensor).abs().max() / tensor.abs().max()) <= 1e-6


def test_two_processes_enrol_a_network_with_the_sums_of_one(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    with open_resources(two) as resources:
        enrol_model(resources, digits.enrolment)
        with resources.database.reading() as session:
            model = find_model(session, "digits")
            (full,) = session.query(FisherSums)
        assert model.state is ModelState.ACTIVE
        sums, _ = read_tensors(resources.store.sized_path(Artifact(full.sha256, full.size)))
    require_equal(sums, by_one_process(digits, tmp_path / "log.safetensors"))
    # What was written on the way is gone.
    assert not list((two.data_dir / "enrolments").glob("*"))


def test_after_a_kill_complete_shards_are_not_computed_again(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    log = ShardLog(tmp_path / "log.safetensors")
    job = tmp_path / "job.json"
    enrolment = digits.enrolment.model_dump(mode="json", by_alias=True)
    job.write_text(json.dumps({"enrolment": enrolment, "log": str(log.path)}))
    with subprocess.Popen(
        [sys.executable, "-m", "workers.torchrun", "2", str(job)],
        env={**os.environ, **two.environment()},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        # It says from time to time how far it is.
        while process.stdout.readline() and not log.path.exists():
            pass
        process.send_signal(signal.SIGKILL)
    network = prepare(digits.enrolment, None, torch.device("cpu")).network
    _, done = log.read(network)
    assert done >= 1

    advanced: list[int] = []
    sum_in_ranks(digits.enrolment, log.path, two, advanced.append)
    sums, shards = log.read(network)
    assert shards == 540 // SHARD
    require_equal(sums, by_one_process(digits, tmp_path / "other.safetensors"))
    assert not advanced or sum(advanced) <= 540


def test_images_read_ahead_by_other_processes_give_the_same_sums(
    digits: Digits, tmp_path: Path
) -> None:
    expected = by_one_process(digits, tmp_path / "one.safetensors")
    found = by_one_process(digits, tmp_path / "ahead.safetensors", Settings(loaders=2))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_a_process_finds_wrong_is_told_in_its_words(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    log = tmp_path / "log.safetensors"
    with pytest.raises(RankRefused, match="position 7 holds NaN") as caught:
        sum_in_ranks(with_nan(digits, tmp_path), log, two, lambda _count: None)
    assert caught.value.kind == "dataset-unreadable"


def test_an_image_that_cannot_be_read_ahead_is_named(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    with open_resources(settings.model_copy(update={"loaders": 2})) as resources:
        with resources.database.transaction() as session:
            model_id = register_model(session, with_nan(digits, tmp_path), "tests").id
        enrol(model_id, resources)
        with resources.database.reading() as session:
            failure = find_model(session, "digits").failure
    assert failure is not None
    assert failure["kind"] == "dataset-unreadable"
    assert "position 7 holds NaN" in failure["detail"]


def test_a_process_that_cannot_even_start_is_told_too(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    # There is no such device here, which only PyTorch finds out.
    missing = two.model_copy(update={"device": "meta"})
    with pytest.raises(RanksFailed, match="ended with status"):
        sum_in_ranks(digits.enrolment, tmp_path / "log", missing, lambda _count: None)


def with_nan(digits: Digits, folder: Path) -> Enrolment:
    """The same enrolment of data with a damaged image."""
    dataset: Any = digits.enrolment.dataset
    with np.load(dataset.path) as file:
        arrays = dict(file)
    arrays["images"][7] = np.nan
    np.savez(folder / "damaged.npz", **arrays)
    damaged = dataset.model_copy(update={"path": str(folder / "damaged.npz")})
    return digits.enrolment.model_copy(update={"dataset": damaged})
