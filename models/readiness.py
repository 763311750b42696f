"""Whether the things every process depends on are there: one answer for gateway and command."""

from collections.abc import Callable

from redis.exceptions import RedisError, ResponseError
from sqlalchemy.exc import SQLAlchemyError

from models.artifacts import ArtifactStore, open_store
from models.database import Database, check_schema, check_writable
from models.doorbell import Doorbell, open_doorbell
from models.errors import SchemaOutOfDate, WritesRefused
from models.scrubbing import count_faults
from models.settings import Settings

# What is wrong with each dependency; None is nothing.
States = dict[str, str | None]


def check_readiness(settings: Settings) -> tuple[States, int]:
    """Connect anew and check everything once; and how many artifacts were found damaged lately."""
    settings.require_services()
    database = Database(settings.database_url, pool_size=1)
    try:
        store = open_store(settings.artifact_store_url)
        states = readiness(database, open_doorbell(settings), store)
        if states["database"] is not None:
            return states, 0
        with database.reading() as session:
            return states, count_faults(session)
    finally:
        database.close()


def readiness(database: Database, doorbell: Doorbell, store: ArtifactStore) -> States:
    """Check database with its schema, queue and store."""
    return {
        "database": _fault(lambda: _check_database(database)),
        "queue": _fault(doorbell.ping),
        "store": _fault(store.check),
    }


def _check_database(database: Database) -> None:
    check_schema(database)
    check_writable(database)


def _fault(check: Callable[[], object]) -> str | None:
    try:
        check()
    except (SchemaOutOfDate, WritesRefused) as error:
        return str(error)
    except ResponseError:
        return "refuses writes: it is out of memory, a replica or read-only"
    except (SQLAlchemyError, RedisError):
        return "cannot be reached"
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    return None
