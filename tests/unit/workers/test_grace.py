"""SIGTERM in a run's process: time to end by oneself, then an error that gives it up cleanly."""

import os
import signal
from collections.abc import Iterator

import pytest

from models.errors import WorkerStopping
from workers import grace


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test process's own handling, again."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(grace, "_asked_at", None)
    yield
    signal.signal(signal.SIGTERM, before)


def test_without_sigterm_there_is_all_the_time_in_the_world() -> None:
    grace.listen()
    grace.require_time(0)


def test_after_sigterm_a_run_may_go_on_for_its_time_of_grace_and_no_longer() -> None:
    grace.listen()
    os.kill(os.getpid(), signal.SIGTERM)
    grace.require_time(60)
    with pytest.raises(WorkerStopping):
        grace.require_time(0)
