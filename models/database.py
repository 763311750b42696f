"""The database: one engine, and the only place that commits.

`transaction()` is all there is to writing; it commits when its block ends and rolls back when the
block raises. Nothing else in the project calls `commit()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from models.errors import SchemaOutOfDate

# PostgreSQL's setting, in milliseconds.
IDLE_LIMIT = "idle_in_transaction_session_timeout"


class Database:
    """A pool of connections to PostgreSQL; safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, pool_size: int = 10, idle_limit_s: float | None = None) -> None:
        """With `idle_limit_s` the server ends a transaction in which nothing is asked for so long.

        A process that is stopped, or a machine that is gone, must not keep what it has locked.
        """
        self.url = with_driver(url)
        limit = "" if idle_limit_s is None else f"{IDLE_LIMIT}={int(1000 * idle_limit_s)}"
        self.engine: Engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            # A driver's error text may hold sample IDs; they must not reach a log.
            hide_parameters=True,
            connect_args={"options": f"-c {limit}"} if limit else {},
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
            session.execute(text("SET TRANSACTION READ ONLY"))
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session that can only read, of one moment: its answers are as of its first question.

        For what is put together from several questions. Not for what is compared with something
        outside of the database, which may be newer than the snapshot.
        """
        with Session(self.engine, expire_on_commit=False) as session:
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield session

    def close(self) -> None:
        """Give all idle connections back."""
        self.engine.dispose()


def is_away(error: DBAPIError) -> bool:
    """Whether the database could not be asked, so that it is worth asking again.

    A session that the server has ended is reported as an error of several kinds; what they have in
    common is that the connection is of no more use.
    """
    return isinstance(error, OperationalError) or error.connection_invalidated


def with_driver(url: str) -> str:
    """The database's address as it names psycopg 3, however the operator wrote the scheme."""
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


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
    expected = ScriptDirectory.from_config(alembic_config(database.url)).get_current_head()
    with database.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != expected:
        raise SchemaOutOfDate(
            f"The database is at schema {found or 'none'}, this program needs {expected}. "
            "Run `expunge migrate`."
        )
    return str(expected)
