"""The database: one engine, and the only place that commits.

`transaction()` is all there is to writing; it commits when its block ends and rolls back when the
block raises. Nothing else in the project calls `commit()`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from models.errors import NotConfigured, SchemaOutOfDate, WritesRefused

log = logging.getLogger(__name__)

# PostgreSQL's setting, in milliseconds.
IDLE_LIMIT = "idle_in_transaction_session_timeout"
# A network that has fallen silent is given up after so long, in the driver's words. Over a Unix
# socket there is no network, and most of it says nothing.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
DRIVER = "postgresql+psycopg"
# SQLSTATE of a write that is refused because nothing may be written.
READ_ONLY = "25006"


class Database:
    """A pool of connections to PostgreSQL; safe to share between threads, not across a fork."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        idle_limit_s: float | None = None,
        lock_limit_s: float = 0,
    ) -> None:
        """With `idle_limit_s` the server ends a transaction in which nothing is asked for so long.

        A process that is stopped, or a machine that is gone, must not keep what it has locked. With
        `lock_limit_s` whoever only reads waits no longer than that for a lock; 0 is without end.
        """
        self.url = with_driver(url)
        self._lock_limit = f"SET LOCAL lock_timeout = {int(1000 * lock_limit_s)}"
        self.engine: Engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            # A driver's error text may hold sample IDs; they must not reach a log.
            hide_parameters=True,
            connect_args=_connect_args(self.url, idle_limit_s),
        )

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end of the block, whole or not at all."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that can only read: PostgreSQL itself refuses writes in it."""
        with Session(self.engine, expire_on_commit=False) as session:
            session.execute(text(f"SET TRANSACTION READ ONLY; {self._lock_limit}"))
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session that can only read, of one moment: its answers are as of its first question.

        For what is put together from several questions. Not for what is compared with something
        outside of the database, which may be newer than the snapshot.
        """
        with Session(self.engine, expire_on_commit=False) as session:
            level = "ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            session.execute(text(f"SET TRANSACTION {level}; {self._lock_limit}"))
            yield session

    def close(self) -> None:
        """End all connections: idle ones now, others when they are given back."""
        pool = self.engine.pool
        self.engine.dispose()
        event.listen(pool, "checkin", lambda _connection, record: record.invalidate())


def is_away(error: DBAPIError) -> bool:
    """Whether the database could not be asked, so that it is worth asking again.

    A session that the server has ended is reported as an error of several kinds; what they have in
    common is that the connection is of no more use. One that takes no writes is away for them.
    """
    return (
        isinstance(error, OperationalError) or error.connection_invalidated or refuses_writes(error)
    )


@contextmanager
def unless_away(what: str) -> Iterator[None]:
    """What is not needed: if the database is away, the block is given up, and `what` is logged."""
    try:
        yield
    except DBAPIError as error:
        if not is_away(error):
            raise
        log.warning("%s: %s", what, type(error.orig).__name__)


def refuses_writes(error: DBAPIError) -> bool:
    """Whether the database answers, and is a standby or read-only."""
    return getattr(error.orig, "sqlstate", None) == READ_ONLY


def why_unreachable(error: Exception) -> str | None:
    """The driver's reason if no connection could be made; it names host and user, and no password.

    None for any other error: what PostgreSQL itself says of a statement may quote data.
    """
    if not isinstance(error, OperationalError) or getattr(error.orig, "sqlstate", None) is not None:
        return None
    return str(error.orig).splitlines()[0].rstrip(".")


def with_driver(url: str) -> str:
    """The database's address as it names psycopg 3, however the operator wrote the scheme.

    Raises `NotConfigured`, which does not repeat it: it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _no_address("cannot be read as an address") from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername=DRIVER)
    if parsed.drivername != DRIVER:
        raise _no_address(f"has the scheme {parsed.drivername!r}")
    return parsed.render_as_string(hide_password=False)


def _no_address(what: str) -> NotConfigured:
    return NotConfigured(
        f"DATABASE_URL {what}. Write {DRIVER}://user:password@host/name, with special characters "
        "of the password percent-encoded."
    )


def _connect_args(url: str, idle_limit_s: float | None) -> dict[str, Any]:
    # What the address says itself goes before it.
    said = make_url(url)
    args: dict[str, Any] = {
        name: value for name, value in PATIENCE.items() if name not in said.query
    }
    if idle_limit_s is not None:
        limit = f"-c {IDLE_LIMIT}={int(1000 * idle_limit_s)}"
        args["options"] = " ".join([limit, *said.normalized_query.get("options", ())])
    return args


def alembic_config(url: str) -> Config:
    """Alembic's configuration, held in code: there is no ini file to keep in step."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    # Alembic interpolates percent signs.
    config.set_main_option("sqlalchemy.url", with_driver(url).replace("%", "%%"))
    return config


def migrate(url: str) -> None:
    """Bring the schema at `url` up to this program's."""
    command.upgrade(alembic_config(url), "head")


def check_schema(database: Database) -> str:
    """The schema's revision; raise `SchemaOutOfDate` if it is not this program's."""
    expected = _expected_revision()
    with database.reading() as session:
        found = MigrationContext.configure(session.connection()).get_current_revision()
    if found != expected:
        raise SchemaOutOfDate(
            f"The database is at schema {found or 'none'}, this program needs {expected}. "
            "Run `expunge migrate`."
        )
    return str(expected)


@cache
def _expected_revision() -> str | None:
    """The one that this program needs; it is worked out from all migrations."""
    return ScriptDirectory(str(files("migrations"))).get_current_head()


def check_writable(database: Database) -> None:
    """Raise `WritesRefused` if nothing can be written."""
    refuses = text("SELECT pg_is_in_recovery() OR current_setting(:name)::bool")
    with database.reading() as session:
        if session.scalar(refuses, {"name": "default_transaction_read_only"}):
            raise WritesRefused(
                "It refuses writes: it is a standby, or read-only. Point DATABASE_URL at the "
                "primary."
            )
