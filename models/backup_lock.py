"""Copying files and collecting them exclude one another, through a lock of the database's."""

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

# Any number that nobody else uses.
KEY = 0x65787075


def share(connection: Connection) -> None:
    """Wait until nobody collects; nobody will before this connection's transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock_shared(KEY)))


def holds_alone(session: Session) -> bool:
    """Whether nobody copies or collects now, nor will before this transaction ends."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(KEY))))
