"""What a session sees while others write."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from models.database import Database
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


@pytest.mark.parametrize("way", ["reading", "snapshot"])
def test_what_can_only_read_cannot_write(database: Database, way: str) -> None:
    with getattr(database, way)() as session:
        session.add(ArtifactCheck(sha256="a" * 64, size=1))
        with pytest.raises(DBAPIError, match="read-only transaction"):
            session.flush()
    database.close()
