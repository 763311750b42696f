"""Enrolment by two processes: the same sums or none, a kill that costs a shard, errors in words."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.artifacts import Artifact
from models.errors import RankRefused
from models.records import FisherSums, ModelState
from models.registry import find_model, register_model
from models.settings import LABEL_SUMS_BYTES, Settings
from models.specifications import Enrolment
from tests.conftest import Digits, enrol_model
from tests.integration.workers.enrolment.test_pipeline import FEW, fewer
from tests.integration.workers.enrolment.test_refusals import refusal
from tests.support.preparing import prepared_on_cpu
from tests.support.several import SMALL, several
from workers import architectures
from workers.architectures.small_resnet import small_resnet
from workers.enrolment import summing
from workers.enrolment.job import Job
from workers.enrolment.pipeline import enrol
from workers.enrolment.portions import Portion, labels_apart, portions_of
from workers.enrolment.preparation import Prepared
from workers.enrolment.ranks import sum_in_ranks
from workers.enrolment.shardlog import ShardLog, ShardLogs
from workers.enrolment.shards import sum_portions
from workers.resources import open_resources
from workers.tensors import read_tensors
from workers.unlearning import estimators
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import Sums, zero_sums

SHARD = 20
SHARDS = math.ceil(540 / SHARD)
FEW_SHARDS = math.ceil(FEW * 9 / 10 / SHARD)
ALL = slice(None)


@pytest.fixture
def two(settings: Settings) -> Settings:
    """Settings of enrolments by two processes, in small shards."""
    return settings.model_copy(update={"processes": 2, "shard_size": SHARD})


def by_one_process(
    digits: Digits, logs: Path, settings: Settings | None = None, samples: slice = ALL
) -> Sums:
    """The sums by this process alone, of all training samples or some."""
    prepared, given = prepared_on_cpu(digits.enrolment), settings or Settings()
    portion = Portion(None, prepared.indexed.training()[samples])
    return sums_of(digits.enrolment, prepared, [portion], ShardLogs(logs, given.shard_size), given)[
        None
    ]


def sums_of(
    enrolment: Enrolment,
    prepared: Prepared,
    portions: Sequence[Portion],
    logs: ShardLogs,
    settings: Settings,
) -> dict[int | None, Sums]:
    """Those of each portion, by this process or by as many as the settings say."""
    network = prepared.network
    if settings.processes > 1:
        apart = [portion.label for portion in portions if portion.label is not None]
        sum_in_ranks(Job.of(enrolment, prepared, apart, logs), settings, lambda _count: None)
    else:
        estimator, dataset = estimator_of(enrolment.estimator), prepared.indexed.dataset
        sum_portions(network, estimator, dataset, portions, logs, settings, lambda _count: None)
    return {portion.label: logs.read_all(portion, network) for portion in portions}


def require_equal(found: Sums, expected: Sums) -> None:
    """Within 1e-6 of the largest entry of each tensor."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert float((found[name] - tensor).abs().max() / tensor.abs().max()) <= 1e-6


def test_two_processes_keep_the_sums_of_labels_as_one_does(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    enrolment = several(digits, tmp_path)
    found = []
    for name, settings in (("one", two.model_copy(update={"processes": 1})), ("two", two)):
        with open_resources(settings.model_copy(update={"shard_size": 100})) as resources:
            enrol_model(resources, enrolment.model_copy(update={"name": name}))
            with resources.database.reading() as session:
                model = find_model(session, name)
                rows = session.query(FisherSums).filter_by(model_id=model.id).all()
            assert model.state is ModelState.ACTIVE
            found.append(
                {
                    row.label: read_tensors(
                        resources.store.sized_path(Artifact(row.sha256, row.size))
                    )[0]
                    for row in rows
                }
            )
    by_one, by_two = found
    assert by_one.keys() == by_two.keys() == {None, *range(10)} - {SMALL}
    for label, sums in by_one.items():
        require_equal(by_two[label], sums)
    assert not list((two.data_dir / "enrolments").glob("*"))


def kill_after_a_shard(digits: Digits, logs: ShardLogs, log: ShardLog, settings: Settings) -> None:
    """Begin as a worker does, and kill all of it as soon as something is written down."""
    job = log.path.with_name("job.safetensors")
    Job.of(digits.enrolment, prepared_on_cpu(digits.enrolment), [], logs).write(job)
    options = ["--standalone", "--nproc-per-node", "2", "-m", "workers.enrolment.rank", str(job)]
    with subprocess.Popen(
        [sys.executable, "-m", "workers.enrolment.torchrun", str(os.getpid()), *options],
        env={**os.environ, **settings.environment()},
        stdout=subprocess.PIPE,
    ) as process:
        while not log.path.exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        assert process.stdout is not None
        # It ends when the last process that can write to it is gone: the log stays as it is then.
        process.stdout.read()


def test_after_a_kill_the_shards_that_are_missing_are_computed_and_no_others(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    prepared, logs = prepared_on_cpu(digits.enrolment), ShardLogs(tmp_path / "log", SHARD)
    portion = Portion(None, prepared.indexed.training())
    log = logs.of(portion)
    kill_after_a_shard(digits, logs, log, two)
    noted, done = log.read(prepared.network)
    assert 0 < done < SHARDS
    before, after = slice(done * SHARD), slice(done * SHARD, None)
    require_equal(noted, by_one_process(digits, tmp_path / "before", samples=before))

    # With zeros for what was complete, the log ends up with what was computed afterwards.
    log.write(zero_sums(prepared.network), done)
    computed = sums_of(digits.enrolment, prepared, [portion], logs, two)[None]
    require_equal(computed, by_one_process(digits, tmp_path / "after", samples=after))


@pytest.mark.parametrize("processes", [1, 2])
def test_labels_that_are_complete_are_not_computed_again_and_others_are(
    two: Settings, digits: Digits, tmp_path: Path, processes: int
) -> None:
    enrolment = several(digits, tmp_path)
    prepared = prepared_on_cpu(enrolment)
    training, network = prepared.indexed.training(), prepared.network
    portions = portions_of(training, labels_apart(training, network, LABEL_SUMS_BYTES))
    settings = two.model_copy(update={"processes": processes})
    logs = ShardLogs(tmp_path / "log", 100)
    expected = sums_of(enrolment, prepared, portions, logs, settings)
    # Complete, begun, not begun, and the rest not begun.
    complete, begun, missing, *_, rest = portions
    logs.of(complete).write(zero_sums(network), len(complete.shards(100)))
    logs.of(begun).write(zero_sums(network), 0)
    for portion in (missing, rest):
        logs.of(portion).path.unlink()
    again = sums_of(enrolment, prepared, portions, logs, settings)
    assert again.keys() == expected.keys() == {None, *range(10)} - {SMALL}
    for label, sums in again.items():
        if label == complete.label:
            assert not any(bool(total.any()) for total in sums.values())
        else:
            require_equal(sums, expected[label])


def test_what_was_noted_is_added_to_and_not_lost(digits: Digits, tmp_path: Path) -> None:
    prepared, logs = prepared_on_cpu(digits.enrolment), ShardLogs(tmp_path / "log", SHARD)
    portion = Portion(None, prepared.indexed.training())
    noted = by_one_process(digits, tmp_path / "before", samples=slice(2 * SHARD))
    logs.of(portion).write(noted, 2)
    found = sums_of(digits.enrolment, prepared, [portion], logs, Settings())[None]
    require_equal(found, by_one_process(digits, tmp_path / "whole"))


def test_several_processes_tell_of_every_sample_no_more_than_once_and_of_most(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    told: list[int] = []
    enrolment, logs = several(digits, tmp_path), ShardLogs(tmp_path / "log", 10 * SHARD)
    prepared = prepared_on_cpu(enrolment)
    sum_in_ranks(Job.of(enrolment, prepared, [], logs), two, told.append)
    trained = len(prepared.indexed.training())
    # They tell every now and then, and not of what is left at the end.
    assert trained / 2 < sum(told) <= trained


def leave_nothing(_log: ShardLog, _sums: Sums) -> None:
    """The processes wrote somewhere else, or somebody has removed it."""


def leave_a_part(log: ShardLog, sums: Sums) -> None:
    """All shards but the last."""
    log.write(sums, FEW_SHARDS - 1)


def leave_a_flipped_bit(log: ShardLog, sums: Sums) -> None:
    """All shards, and then the disk was not reliable."""
    log.write(sums, FEW_SHARDS)
    content = bytearray(log.path.read_bytes())
    content[-1] ^= 1
    log.path.write_bytes(content)


@pytest.mark.parametrize(
    ("leave", "found"), [(leave_nothing, 0), (leave_a_part, 1), (leave_a_flipped_bit, 0)]
)
def test_an_enrolment_fails_unless_every_shard_is_in_and_whole(
    two: Settings,
    digits: Digits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leave: Callable[[ShardLog, Sums], None],
    found: int,
) -> None:
    few = fewer(digits, tmp_path)
    prepared = prepared_on_cpu(few)
    portion, sums = Portion(None, prepared.indexed.training()), zero_sums(prepared.network)

    def end_well(job: Job, *_others: object) -> None:
        leave(job.logs.of(portion), sums)

    monkeypatch.setattr(summing, "sum_in_ranks", end_well)
    failure = refusal(two.model_copy(update={"data_dir": tmp_path}), few)
    assert failure["kind"] == "shards-missing"
    assert f"holds {found} of {FEW_SHARDS} shards" in failure["detail"]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where the processes of each enrolment are told to write; they refuse to."""
    told: list[Path] = []

    def refuse(job: Job, *_others: object) -> None:
        told.append(job.logs.path)
        raise RankRefused("sample-unreadable", "An image cannot be read.")

    monkeypatch.setattr(summing, "sum_in_ranks", refuse)
    return told


def test_equal_networks_have_logs_of_their_own_and_find_them_again(
    two: Settings, digits: Digits, tmp_path: Path, logs: list[Path]
) -> None:
    few = fewer(digits, tmp_path)
    with open_resources(two) as resources:
        for name in ("one", "two", "one"):
            enrol_model(resources, few.model_copy(update={"name": name}))
    first, other, again = logs
    assert other != first
    assert again == first


@pytest.mark.parametrize("changed", [{"version": 2}, {"parameters": (("seed", 1),)}])
def test_an_estimator_that_sums_something_else_begins_a_log_of_its_own(
    two: Settings,
    digits: Digits,
    tmp_path: Path,
    logs: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
) -> None:
    few = fewer(digits, tmp_path)
    other = replace(estimators.label_free(), **changed)
    with open_resources(two) as resources:
        enrol_model(resources, few)
        monkeypatch.setitem(estimators.ESTIMATORS, "label_free", lambda: other)
        enrol_model(resources, few)
    assert logs[0] != logs[1]


@pytest.mark.parametrize("changed", ["preprocessing", "architecture"])
def test_a_network_that_is_given_other_inputs_or_built_otherwise_begins_logs_of_its_own(
    two: Settings,
    digits: Digits,
    tmp_path: Path,
    logs: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
) -> None:
    few = fewer(digits, tmp_path)
    specification = few.model_dump(mode="json")
    if changed == "preprocessing":
        specification["preprocessing"]["mean"] = [0.4]
    else:
        # One of the same weights; what it makes of them may be something else.
        monkeypatch.setitem(architectures.ARCHITECTURES, "other_resnet", small_resnet)
        specification["architecture"]["name"] = "other_resnet"
    other = Enrolment.model_validate(specification)
    with open_resources(two) as resources:
        for enrolment in (few, other, few):
            enrol_model(resources, enrolment)
    first, second, again = logs
    assert first != second
    assert first == again


def test_other_weights_in_the_same_file_begin_a_log_of_their_own(
    two: Settings, digits: Digits, tmp_path: Path, logs: list[Path]
) -> None:
    path = tmp_path / "base.safetensors"
    weights = load_file(digits.enrolment.weights)
    few = fewer(digits, tmp_path).model_copy(update={"weights": str(path)})
    with open_resources(two) as resources:
        for change in (0, 1e-3, 0):
            save_file({**weights, "head.bias": weights["head.bias"] + change}, path)
            enrol_model(resources, few)
    first, other, again = logs
    assert other != first
    assert again == first


def test_images_read_ahead_by_other_processes_give_the_same_sums(
    digits: Digits, tmp_path: Path
) -> None:
    expected = by_one_process(digits, tmp_path / "one.safetensors")
    found = by_one_process(digits, tmp_path / "ahead.safetensors", Settings(loaders=2))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_a_process_finds_wrong_is_told_in_its_words(
    two: Settings, digits: Digits, tmp_path: Path
) -> None:
    logs = ShardLogs(tmp_path / "log", SHARD)
    job = Job.of(digits.enrolment, prepared_on_cpu(digits.enrolment), [], logs)
    damaged = replace(job, enrolment=with_nan(digits, tmp_path))
    with pytest.raises(RankRefused, match="position 7 holds NaN") as caught:
        sum_in_ranks(damaged, two, lambda _count: None)
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


def with_nan(digits: Digits, folder: Path) -> Enrolment:
    """The same enrolment of data with a damaged image."""
    dataset: Any = digits.enrolment.dataset
    with np.load(dataset.path) as file:
        arrays = dict(file)
    arrays["images"][7] = np.nan
    np.savez(folder / "damaged.npz", **arrays)
    damaged = dataset.model_copy(update={"path": str(folder / "damaged.npz")})
    return digits.enrolment.model_copy(update={"dataset": damaged})
