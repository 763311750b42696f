"""What a session sees while others write."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from models.database import (
    IDLE_LIMIT,
    Database,
    check_writable,
    is_away,
    refuses_writes,
    unless_away,
    why_unreachable,
)
from models.errors import NotConfigured, WritesRefused
from models.records import ArtifactCheck
from models.settings import Settings

COUNT = select(func.count()).select_from(ArtifactCheck)


@pytest.fixture
def database(settings: Settings) -> Database:
    return Database(settings.database_url)


def add_one(database: Database) -> None:
    with database.transaction() as session:
        session.add(ArtifactCheck(sha256="a" * 64, size=1))


def test_a_snapshot_stays_at_the_moment_of_its_first_question(database: Database) -> None:
    with database.snapshot() as old, database.reading() as current:
        assert (old.scalar(COUNT), current.scalar(COUNT)) == (0, 0)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(add_one, database).result()
        assert (old.scalar(COUNT), current.scalar(COUNT)) == (0, 1)
    database.close()


def test_a_session_that_the_server_has_ended_counts_as_a_database_that_is_away(
    database: Database, settings: Settings
) -> None:
    hasty = Database(settings.database_url, idle_limit_s=0.05)
    with Session(hasty.engine) as session:
        process = session.scalar(func.pg_backend_pid())
        deadline = time.monotonic() + 30
        while is_there(database, process):
            assert time.monotonic() < deadline
        with pytest.raises(DBAPIError) as ended:
            session.scalar(COUNT)
    assert is_away(ended.value)
    with database.reading() as reading, pytest.raises(DBAPIError) as wrong:
        reading.scalar(text("SELECT 1 / 0"))
    assert not is_away(wrong.value)
    hasty.close()
    database.close()


def is_there(database: Database, process: int | None) -> bool:
    with database.reading() as session:
        seen = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        return bool(session.scalar(seen, {"pid": process}))


@pytest.mark.parametrize("way", ["reading", "snapshot"])
def test_what_can_only_read_cannot_write(database: Database, way: str) -> None:
    with getattr(database, way)() as session:
        session.add(ArtifactCheck(sha256="a" * 64, size=1))
        with pytest.raises(DBAPIError, match="read-only transaction"):
            session.flush()
    database.close()


@pytest.mark.parametrize("way", ["reading", "snapshot"])
def test_who_only_reads_waits_for_a_lock_no_longer_than_the_limit(
    database: Database, settings: Settings, way: str
) -> None:
    hasty = Database(settings.database_url, lock_limit_s=0.1)
    with database.transaction() as holding:
        holding.execute(text("LOCK TABLE artifact_check IN ACCESS EXCLUSIVE MODE"))
        with getattr(hasty, way)() as session, pytest.raises(OperationalError) as refused:
            session.scalar(COUNT)
    assert is_away(refused.value)
    with hasty.transaction() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "0"
    hasty.close()
    database.close()


def test_a_database_that_refuses_writes_counts_as_away_and_says_so(
    database: Database, settings: Settings
) -> None:
    check_writable(database)
    readable = Database(f"{settings.database_url}&options=-c%20default_transaction_read_only%3Don")
    with pytest.raises(WritesRefused, match="refuses writes"):
        check_writable(readable)
    with pytest.raises(DBAPIError) as refused:
        add_one(readable)
    assert is_away(refused.value)
    assert refuses_writes(refused.value)
    assert why_unreachable(refused.value) is None
    readable.close()
    database.close()


def test_what_is_not_needed_is_left_out_while_the_database_is_away_or_refuses_it(
    database: Database, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    readable = Database(f"{settings.database_url}&options=-c%20default_transaction_read_only%3Don")
    for away in (readable, Database("postgresql://nobody@127.0.0.1:1/none")):
        with unless_away("This was not written"):
            add_one(away)
        assert caplog.messages.pop().startswith("This was not written: ")
        away.close()
    with (
        pytest.raises(DBAPIError, match="division by zero"),
        unless_away("This was not read"),
        database.reading() as session,
    ):
        session.scalar(text("SELECT 1 / 0"))
    database.close()


def test_options_in_the_address_count_beside_our_own(settings: Settings) -> None:
    address = f"{settings.database_url}&options=-c%20application_name%3Dsomebody"
    database = Database(address, idle_limit_s=7)
    with database.reading() as session:
        assert session.scalar(text("SHOW application_name")) == "somebody"
        assert session.scalar(text(f"SHOW {IDLE_LIMIT}")) == "7s"
    database.close()


def test_a_server_that_says_nothing_is_given_up_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql://nobody:secret@127.0.0.1:{silent.getsockname()[1]}/none")
        begun = time.monotonic()
        with pytest.raises(OperationalError) as refused, database.reading():
            pass
        assert time.monotonic() - begun < 20
        database.close()
    assert is_away(refused.value)
    assert "secret" not in (why_unreachable(refused.value) or "secret")


def test_connections_over_a_network_notice_that_it_is_silent(settings: Settings) -> None:
    with relayed(settings) as url:
        patient = Database(f"{url}?keepalives_idle=77")
        database = Database(url)
        for opened, idle in ((database, 10), (patient, 77)):
            with opened.engine.connect() as connection:
                descriptor = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
                with socket.socket(fileno=descriptor) as found:
                    assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle
                    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
                    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
                    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
                    # It is the connection's own.
                    found.detach()
            opened.close()


@pytest.mark.parametrize(
    "url",
    [
        "s3cret",
        "postgresql://u:s3cret@host:port/d",
        "mysql://u:s3cret@host/d",
        "sqlite:///s3cret",
        "postgresql+asyncpg://u:s3cret@host/d",
    ],
)
def test_an_address_that_cannot_be_is_named_and_not_repeated(url: str) -> None:
    with pytest.raises(NotConfigured, match="DATABASE_URL") as refused:
        Database(url)
    assert "s3cret" not in str(refused.value)


@contextmanager
def relayed(settings: Settings) -> Iterator[str]:
    """The address of the database over TCP; our own server listens on a Unix socket only."""
    url = make_url(settings.database_url)
    folder = url.query["host"]
    assert isinstance(folder, str)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        relay = Thread(target=_relay, args=(listening, Path(folder) / ".s.PGSQL.5432"), daemon=True)
        relay.start()
        yield f"postgresql://{url.username}@127.0.0.1:{port}/{url.database}"


def _relay(listening: socket.socket, path: Path) -> None:
    for _ in range(2):
        here, _ = listening.accept()
        there = socket.socket(socket.AF_UNIX)
        there.connect(str(path))
        for source, target in ((here, there), (there, here)):
            Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with source, suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_RDWR)
