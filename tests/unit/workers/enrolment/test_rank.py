"""One of an enrolment's processes: what it computes with, and what it says of what is wrong."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import RankRefused, ReaderDied
from tests.support.preparing import unfounded_job
from workers.enrolment import rank
from workers.enrolment.group import ALONE, Group
from workers.enrolment.rank import take_part


@pytest.fixture(autouse=True)
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What torchrun says to the second process of a machine, and nobody to sum with."""

    @contextmanager
    def joined(_device: torch.device) -> Iterator[Group]:
        yield ALONE

    threads = torch.get_num_threads()
    monkeypatch.setattr(rank, "joined", joined)
    for name, value in {
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "EXPUNGE_DEVICE": "cpu",
        "EXPUNGE_THREADS": "6",
    }.items():
        monkeypatch.setenv(name, value)
    yield
    torch.set_num_threads(threads)


def said_of(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What the process says if it ends of this."""

    def refuse(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr(rank, "_sum", refuse)
    assert take_part(None) == 1
    return capsys.readouterr().out


def test_what_only_one_knows_it_says_and_what_all_know_the_first_one_of_a_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = said_of(ReaderDied("It has died."), monkeypatch, capsys)
    assert json.loads(own) == {"error": {"kind": "reader-died", "detail": "It has died."}}
    common = RankRefused("dataset-unreadable", "It cannot be read.")
    assert said_of(common, monkeypatch, capsys) == ""
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert "It cannot be read." in said_of(common, monkeypatch, capsys)


def test_the_processes_of_a_machine_share_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "_sum", lambda *_arguments: None)
    assert take_part(None) == 0
    assert torch.get_num_threads() == 3


def test_a_machine_reads_nothing_outside_of_its_own_folder_for_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job"
    unfounded_job(tmp_path).write(file)
    monkeypatch.setenv("EXPUNGE_SOURCES_ROOT", str(tmp_path))
    assert take_part(file) == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "source-outside-root"
