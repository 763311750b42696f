"""What a session sees while others write."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.database import Database, is_away
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
