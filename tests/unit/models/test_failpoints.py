"""Failpoints: inert unless asked for, once each, and every one noted."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REACH = "from models.failpoints import Failpoint, failpoint; failpoint(Failpoint.LOAD)"


def reach(folder: Path | None, code: str = REACH) -> subprocess.CompletedProcess[str]:
    """A process that comes to a failpoint."""
    environment = dict(os.environ) | ({"EXPUNGE_FAILPOINTS": str(folder)} if folder else {})
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_nothing_happens_where_nobody_asked(tmp_path: Path) -> None:
    (tmp_path / "load").write_text("kill")
    assert reach(None).returncode == 0
    assert (tmp_path / "load").exists()


@pytest.mark.parametrize(
    ("action", "told"),
    [("raise", "FailpointReached"), ("full", os.strerror(errno.ENOSPC)), ("dance", "'dance'")],
)
def test_it_fails_as_it_was_told_and_only_once(tmp_path: Path, action: str, told: str) -> None:
    (tmp_path / "load").write_text(action)
    first, second = reach(tmp_path), reach(tmp_path)
    assert told in first.stderr
    assert second.returncode == 0
    assert (tmp_path / "reached").read_text().splitlines() == ["load", "load"]


def test_kill_is_the_end_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "load").write_text("kill")
    assert reach(tmp_path).returncode == -signal.SIGKILL


def test_a_stall_stops_every_thread_and_then_goes_on(tmp_path: Path) -> None:
    (tmp_path / "load").write_text("stall 0.3")
    begun = time.monotonic()
    assert reach(tmp_path, f"{REACH}; print('on')").stdout == "on\n"
    assert time.monotonic() - begun > 0.3
