"""Starting the processes of an enrolment: what keeps them from it is said before they begin."""

import socket
from pathlib import Path

import pytest
import torch

from models.errors import NotConfigured, RanksFailed, WorkerStopping
from models.settings import Settings
from models.specifications import Enrolment
from workers.enrolment import ranks
from workers.enrolment.job import Job
from workers.enrolment.ranks import assist, sum_in_ranks
from workers.enrolment.shardlog import ShardLogs


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """One that nobody gets as far as to look into."""
    enrolment = Enrolment.model_validate(
        {
            "name": "digits",
            "architecture": {"name": "small_resnet", "num_classes": 10},
            "weights": "/nowhere/base.safetensors",
            "dataset": {"kind": "digits"},
            "preprocessing": {"size": 8, "mean": [0], "std": [1]},
        }
    )
    images = torch.zeros((0, 8), dtype=torch.uint8)
    return Job(enrolment, [], ShardLogs(tmp_path / "log", 1), "cpu", "w", "m", images)


def test_a_job_is_what_it_was_when_it_has_been_told(job: Job, tmp_path: Path) -> None:
    job.write(tmp_path / "job")
    told = Job.parse(bytearray((tmp_path / "job").read_bytes()))
    assert torch.equal(told.images, job.images)
    assert [vars(told)[name] for name in vars(job) if name != "images"] == [
        vars(job)[name] for name in vars(job) if name != "images"
    ]


def test_more_processes_than_gpus_are_not_started(job: Job) -> None:
    there = torch.cuda.device_count()
    settings = Settings(device="cuda", processes=there + 1, nodes=2, rendezvous="here:1")
    for start in (lambda: sum_in_ranks(job, settings, print), lambda: assist(settings, 1)):
        with pytest.raises(NotConfigured, match=f"There are {there} GPUs here"):
            start()


def test_an_enrolment_waits_for_the_port_that_another_one_has(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "PROGRAM", "nothing_to_start")
    heard: list[int] = []

    def stop_at_the_third(count: int) -> None:
        heard.append(count)
        if len(heard) == 3:
            raise WorkerStopping("The worker is stopping.")

    with socket.socket() as another:
        another.bind(("127.0.0.1", 0))
        another.listen()
        rendezvous = f"127.0.0.1:{another.getsockname()[1]}"
        settings = Settings(device="cpu", nodes=2, rendezvous=rendezvous)
        with pytest.raises(WorkerStopping):
            sum_in_ranks(job, settings, stop_at_the_third)
    assert heard == [0, 0, 0]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a program that is started in torchrun's place."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(ranks, "PROGRAM", "started_instead")
    return tmp_path / "started_instead.py"


def test_words_that_are_no_text_do_not_keep_it_from_ending(job: Job, started: Path) -> None:
    started.write_text("import sys\nsys.stdout.buffer.write(b'caf\\xe9\\n{\"done\": 3}\\n')\n")
    told: list[int] = []
    sum_in_ranks(job, Settings(device="cpu", processes=2), told.append)
    assert sum(told) == 3


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"processes": 2}, "ended with status 3; the log has its last words. Enrol again"),
        ({"nodes": 2}, "not all of the 2 machines came to 127.0.0.1:1, or one of them has ended"),
    ],
)
def test_a_process_that_ends_without_a_word_is_told_too(
    job: Job,
    started: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, int],
    word: str,
) -> None:
    started.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(ranks, "is_free", lambda _port: True)
    given = Settings(device="cpu", rendezvous="127.0.0.1:1", **settings)  # type: ignore[arg-type]
    with pytest.raises(RanksFailed, match=word):
        sum_in_ranks(job, given, lambda _count: None)
