"""Enrolment by several machines, which are here processes that do not share a home: what they sum
together is what one sums, and a machine that has something else is refused by its name.
"""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from expunge import main
from models.artifacts import Artifact
from models.errors import NodeDiffers, RankRefused, RanksFailed, WorkerStopping
from models.records import FisherSums
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import Digits
from tests.integration.test_command import bare_environment, enrol_command, expunge
from tests.integration.workers.enrolment.test_pipeline import fewer
from tests.integration.workers.enrolment.test_ranks import (
    SHARD,
    SHARDS,
    by_one_process,
    require_equal,
)
from tests.support.ports import free_port
from tests.support.preparing import prepared_on_cpu
from workers.enrolment import foreground, ranks, summing
from workers.enrolment.job import Job
from workers.enrolment.portions import Portion
from workers.enrolment.ranks import sum_in_ranks
from workers.enrolment.shardlog import ShardLogs
from workers.resources import open_resources
from workers.tensors import read_tensors
from workers.unlearning.importances import Sums

WEIGHTS, DATA = "base.safetensors", "digits.npz"


@pytest.fixture
def first(settings: Settings) -> Settings:
    """Those of the first of two machines."""
    given = {"nodes": 2, "rendezvous": f"127.0.0.1:{free_port()}", "shard_size": SHARD}
    return settings.model_copy(update=given)


@pytest.fixture
def enrolment(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Enrolment:
    """One of files in the home of whoever reads it; every machine has them in its own."""
    dataset = digits.enrolment.dataset
    for home in ("first", "second"):
        (tmp_path / home).mkdir()
        shutil.copy(dataset.path, tmp_path / home / DATA)  # type: ignore[union-attr]
        shutil.copy(digits.enrolment.weights, tmp_path / home / WEIGHTS)
    monkeypatch.setenv("HOME", str(tmp_path / "first"))
    return digits.enrolment.model_copy(
        update={
            "weights": f"~/{WEIGHTS}",
            "dataset": dataset.model_copy(update={"path": f"~/{DATA}"}),
        }
    )


@contextmanager
def second(first: Settings, home: Path) -> Iterator["subprocess.Popen[str]"]:
    """The other machine, at which somebody has said `expunge assist`."""
    own = first.model_copy(update={"data_dir": home / "data"})
    with subprocess.Popen(
        [sys.executable, "-m", "expunge", "assist", "--node-rank", "1"],
        env={**bare_environment(), **own.environment(), "HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def summed(enrolment: Enrolment, logs: ShardLogs, first: Settings) -> Sums:
    """The sums by all machines."""
    prepared = prepared_on_cpu(enrolment)
    sum_in_ranks(Job.of(enrolment, prepared, [], logs), first, lambda _count: None)
    return logs.read_all(Portion(None, prepared.indexed.training()), prepared.network)


def noting_ranks(folder: Path) -> dict[str, str]:
    """The environment in which every process that torchrun starts leaves a file here."""
    # Every interpreter runs this first; torchrun has told its ranks which they are.
    (folder / "sitecustomize.py").write_text(
        "import os, pathlib\n"
        "if 'RANK' in os.environ:\n"
        f"    pathlib.Path({str(folder)!r}, 'rank-' + os.environ['RANK']).touch()\n"
    )
    return {"PYTHONPATH": str(folder)}


def test_an_enrolment_by_two_machines_keeps_the_sums_of_one(
    first: Settings, digits: Digits, tmp_path: Path
) -> None:
    few, dataset = fewer(digits, tmp_path), f"arrays:{tmp_path}/few.npz"
    together = ("--nodes", "2", "--rendezvous", first.rendezvous)
    settings = first.model_copy(update={"nodes": 1, "rendezvous": ""})
    environment = {**bare_environment(), **settings.environment(), **noting_ranks(tmp_path)}
    elsewhere = {**environment, "EXPUNGE_DATA_DIR": str(tmp_path / "second")}
    with ThreadPoolExecutor(1) as threads:
        assisting = threads.submit(
            expunge, "assist", "--node-rank", "1", *together, environment=elsewhere
        )
        ended = expunge(
            *enrol_command(digits, dataset),
            *(*together, "--nproc", "2"),
            environment=environment,
        )
        assisted = assisting.result()
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in tmp_path.glob("rank-*")) == ["rank-0", "rank-1", "rank-2"]
    assert f"Waiting for another machine at {first.rendezvous}" in ended.stderr
    assert assisted.returncode == 0, assisted.stderr
    assert f"Waiting for an enrolment at {first.rendezvous}" in assisted.stderr
    with open_resources(settings) as resources, resources.database.reading() as session:
        (full,) = session.query(FisherSums)
        sums, _ = read_tensors(resources.store.sized_path(Artifact(full.sha256, full.size)))
    require_equal(sums, by_one_process(replace(digits, enrolment=few), tmp_path / "alone"))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--node-rank", "1"), "no machine 1 of 1"),
        (("--node-rank", "2", "--nodes", "2", "--rendezvous", "here:1"), "no machine 2 of 2"),
        (("--node-rank", "1", "--nodes", "2"), "EXPUNGE_RENDEZVOUS"),
        (("--node-rank", "1", "--nodes", "2", "--rendezvous", "here"), "'here' is not where"),
    ],
)
def test_assistance_that_cannot_be_is_refused_in_a_sentence(
    arguments: tuple[str, ...], word: str
) -> None:
    ended = CliRunner().invoke(main, ["assist", *arguments])
    assert ended.exit_code != 0
    assert word in ended.output
    assert "Traceback" not in ended.output


def test_a_worker_that_is_not_told_where_machines_meet_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPUNGE_NODES", "2")
    ended = CliRunner().invoke(main, ["--data-dir", str(tmp_path), "worker"])
    assert ended.exit_code == 1
    assert "EXPUNGE_RENDEZVOUS" in ended.output


@pytest.mark.parametrize("command", ["enrol", "assist"])
def test_processes_and_machines_are_as_many_as_the_command_line_says(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    told: list[Settings] = []
    monkeypatch.setattr(ranks, "assist", lambda settings, _rank: told.append(settings))
    monkeypatch.setattr(foreground, "enrol_here", lambda _what, settings: told.append(settings))
    given = enrol_command(digits, "digits") if command == "enrol" else (command, "--node-rank", "1")
    spread = ("--nproc", "3", "--nodes", "2", "--rendezvous", "here:1")
    ended = CliRunner().invoke(main, ["--data-dir", str(tmp_path), *given, *spread])
    assert ended.exit_code == 0, ended.output
    (settings,) = told
    assert (settings.processes, settings.nodes, settings.rendezvous) == (3, 2, "here:1")


def test_machines_of_one_process_each_sum_together(
    first: Settings, digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(
        summing, "sum_in_ranks", lambda _job, given, _tell: told.append(given.nodes)
    )
    prepared = prepared_on_cpu(digits.enrolment)
    summing.Summing.of(digits.enrolment, prepared, tmp_path / "log", first).sum_all(print)
    assert told == [2]


def other_weights(home: Path) -> None:
    """One weight is another one."""
    weights = load_file(home / WEIGHTS)
    weights["head.bias"][0] += 1e-3
    save_file(weights, home / WEIGHTS)


def _change_data(home: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(home / DATA) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(home / DATA, **arrays)


def another_order(home: Path) -> None:
    """Two samples have changed places."""

    def swap(arrays: dict[str, np.ndarray]) -> None:
        for values in arrays.values():
            values[[10, 11]] = values[[11, 10]]

    _change_data(home, swap)


def an_id_twice(home: Path) -> None:
    """Two samples have one name."""

    def repeat(arrays: dict[str, np.ndarray]) -> None:
        arrays["ids"][3] = arrays["ids"][4]

    _change_data(home, repeat)


def an_id_that_cannot_be(home: Path) -> None:
    """A sample's name has a line feed."""

    def break_in_two(arrays: dict[str, np.ndarray]) -> None:
        arrays["ids"][3] = "per\nson"

    _change_data(home, break_in_two)


def exchange_an_image(home: Path) -> None:
    """One sample has another's image, in the last shard."""

    def exchange(arrays: dict[str, np.ndarray]) -> None:
        training = np.flatnonzero(arrays["splits"] == "train")
        # The second machine has every second sample of a shard.
        arrays["images"][training[SHARD * (SHARDS - 1) + 1]] = arrays["images"][training[0]]

    _change_data(home, exchange)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (other_weights, "has other weights here"),
        (another_order, "has other samples or labels here"),
        # Nothing that names a sample: it is said on every machine.
        (an_id_twice, "^The dataset has other samples or labels here than .* the same[.]$"),
        (an_id_that_cannot_be, "^The dataset has other samples or labels here"),
    ],
)
def test_weights_and_samples_are_compared_with_the_first_machines(
    enrolment: Enrolment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None],
    words: str,
) -> None:
    job = Job.of(enrolment, prepared_on_cpu(enrolment), [], ShardLogs(tmp_path / "log", SHARD))
    spoil(tmp_path / "second")
    job.prepared(None, torch.device("cpu"))
    monkeypatch.setenv("HOME", str(tmp_path / "second"))
    with pytest.raises(NodeDiffers, match=words):
        job.prepared(None, torch.device("cpu"))


def test_a_machine_with_another_image_is_refused_by_name_and_told_itself(
    first: Settings, enrolment: Enrolment, tmp_path: Path
) -> None:
    exchange_an_image(tmp_path / "second")
    with second(first, tmp_path / "second") as other:
        with pytest.raises(RankRefused, match="is not the one that was enrolled") as caught:
            summed(enrolment, ShardLogs(tmp_path / "log", SHARD), first)
        said = other.communicate()[1]
    assert caught.value.kind == "dataset-unreadable"
    assert str(caught.value).startswith(f"On {socket.gethostname()}: ")
    assert other.returncode == 1
    assert str(caught.value) in said


def test_a_machine_that_dies_costs_a_shard_and_another_takes_its_place(
    first: Settings, digits: Digits, enrolment: Enrolment, tmp_path: Path
) -> None:
    logs = ShardLogs(tmp_path / "log", SHARD)
    prepared = prepared_on_cpu(enrolment)
    log = logs.of(Portion(None, prepared.indexed.training()))
    with ThreadPoolExecutor(1) as threads:
        with second(first, tmp_path / "second") as other:
            summing = threads.submit(summed, enrolment, logs, first)
            while not log.path.exists():
                assert not summing.done()
                time.sleep(0.005)
            other.kill()
        with pytest.raises(RanksFailed):
            summing.result()
    _, metadata = read_tensors(log.path)
    assert 0 < metadata["shards"] < SHARDS
    with second(first, tmp_path / "second"):
        found = summed(enrolment, logs, first)
    require_equal(found, by_one_process(digits, tmp_path / "alone"))


def test_machines_that_compute_on_different_devices_do_not_sum_together(
    digits: Digits, tmp_path: Path
) -> None:
    prepared = prepared_on_cpu(digits.enrolment)
    job = Job.of(digits.enrolment, prepared, [], ShardLogs(tmp_path / "log", SHARD))
    with pytest.raises(NodeDiffers, match="computes on 'meta'"):
        job.prepared(None, torch.device("meta"))


def test_who_waits_for_other_machines_in_vain_can_be_told_to_stop(
    first: Settings, digits: Digits, tmp_path: Path
) -> None:
    job = Job.of(
        digits.enrolment, prepared_on_cpu(digits.enrolment), [], ShardLogs(tmp_path / "log", SHARD)
    )
    host, _, port = first.rendezvous.partition(":")

    def stop_once_waiting(_count: int) -> None:
        with socket.socket() as other:
            if other.connect_ex((host, int(port))) == 0:
                raise WorkerStopping("The worker is stopping.")

    began = time.monotonic()
    with pytest.raises(WorkerStopping):
        sum_in_ranks(job, first, stop_once_waiting)
    assert time.monotonic() - began < 60
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
