"""The embedded PostgreSQL: a server that dies again is not waited for."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

from embedded import postgres
from embedded.postgres import EmbeddedPostgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    started = EmbeddedPostgres(tmp_path / "postgres")
    yield started
    started.stop()


def kill(folder: Path) -> None:
    """What a crash does, in the midst of anything."""
    process = psutil.Process(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def test_a_server_that_dies_right_after_its_start_is_not_waited_for(
    server: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = postgres.pg_ctl

    def start_and_die(*arguments: Any, **named: Any) -> Any:
        start(*arguments, **named)
        kill(tmp_path)

    kill(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(postgres, "pg_ctl", start_and_die)
        with pytest.raises(RuntimeError, match="died as soon as it was started"):
            server.revive()
    server.revive()
    engine = create_engine(server.create_database())
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()
