"""Starting the processes of an enrolment: what keeps them from it is said before they begin."""

import socket
import time
from pathlib import Path

import pytest
import torch

from models.errors import NotConfigured, RankRefused, RanksFailed, WorkerStopping
from models.settings import Settings
from tests.support.preparing import unfounded_job
from workers.enrolment import ranks
from workers.enrolment.job import Job
from workers.enrolment.ranks import assist, sum_in_ranks


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """One that nobody gets as far as to look into."""
    return unfounded_job(tmp_path)


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
    job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ranks, "PROGRAM", "nothing_to_start")
    caplog.set_level("INFO")
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
    # Once, however long it takes.
    assert len(caplog.records) == 1


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a program that is started in torchrun's place."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(ranks, "PROGRAM", "started_instead")
    return tmp_path / "started_instead.py"


@pytest.mark.parametrize("words", [b"caf\xe9", b"3", b"null", b"[]", b'{"loss": 1}', b'"done"'])
def test_words_of_others_do_not_keep_it_from_ending(job: Job, started: Path, words: bytes) -> None:
    line = words + b'\n{"done": 3}\n'
    started.write_text(f"import sys\nsys.stdout.buffer.write({line!r})\n")
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


def test_each_process_may_have_the_last_of_the_gpus(
    job: Job, started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.write_text("print('{\"done\": 3}')\n")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    told: list[int] = []
    sum_in_ranks(job, Settings(device="cuda", processes=2), told.append)
    assert sum(told) == 3


def test_the_processes_have_the_settings_of_whoever_starts_them(job: Job, started: Path) -> None:
    started.write_text(
        "import json\n"
        "from models.settings import load_settings\n"
        "print(json.dumps({'done': load_settings(with_services=False).loaders}))\n"
    )
    told: list[int] = []
    sum_in_ranks(job, Settings(device="cpu", processes=2, loaders=7), told.append)
    assert sum(told) == 7


def test_machines_wait_for_one_another_for_as_long_as_the_first_may_take_to_digest_images(
    started: Path, tmp_path: Path
) -> None:
    # By itself torchrun gives up after ten minutes.
    started.write_text(
        f"import pathlib, sys\npathlib.Path({str(tmp_path)!r}, 'given').write_text(str(sys.argv))\n"
    )
    assist(Settings(device="cpu", nodes=2, rendezvous="here:1"), 1)
    assert "'--rdzv-conf', 'timeout=3600'" in (tmp_path / "given").read_text()


def test_what_was_wrong_first_is_what_is_told(job: Job, started: Path) -> None:
    started.write_text(
        "import json\n"
        "for word in ('first', 'second'):\n"
        "    print(json.dumps({'error': {'kind': word, 'detail': f'The {word}.'}}))\n"
        "raise SystemExit(1)\n"
    )
    with pytest.raises(RankRefused, match=r"^The first\.$"):
        sum_in_ranks(job, Settings(device="cpu", processes=2), lambda _count: None)


@pytest.mark.parametrize("hears", [True, False])
def test_processes_that_are_given_up_are_asked_to_end_and_then_made_to(
    job: Job, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hears: bool
) -> None:
    monkeypatch.setattr(ranks, "END_S", 20 if hears else 0.1)
    started.write_text(
        "import pathlib, signal, sys, time\n"
        "def heard(*_):\n"
        f"    pathlib.Path({str(tmp_path)!r}, 'heard').touch()\n"
        f"    if {hears}: sys.exit()\n"
        "signal.signal(signal.SIGTERM, heard)\n"
        "print('{\"done\": 1}', flush=True)\n"
        "time.sleep(20)\n"
    )

    def stop(count: int) -> None:
        if count:
            raise WorkerStopping("The worker is stopping.")

    began = time.monotonic()
    with pytest.raises(WorkerStopping):
        sum_in_ranks(job, Settings(device="cpu", processes=2), stop)
    assert time.monotonic() - began < 10
    assert (tmp_path / "heard").exists()
