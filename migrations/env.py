"""What Alembic runs: the records' metadata against the database of `sqlalchemy.url`."""

from alembic import context
from sqlalchemy import create_engine, pool

from models.records import Base

# Two processes that migrate at once would trip over each other; the second waits here.
ADVISORY_LOCK = 0x457870756E6765


def run() -> None:
    """Migrate in one transaction, one migrator at a time."""
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
            context.run_migrations()


run()
