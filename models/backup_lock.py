"""Copying files and collecting them exclude one another, through a lock of the database's."""

from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import Session

# Any number that nobody else uses.
KEY = 0x65787075


def share(connection: Connection) -> None:
    """Wait until nobody collects; nobody will before this connection's transaction ends.

    It may be idle for as long as copying takes.
    """
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    connection.execute(select(func.pg_advisory_xact_lock_shared(KEY)))


def require_shared(connection: Connection) -> None:
    """Raise `OperationalError` if the connection was lost, and the lock with it."""
    connection.execute(select(1))


def holds_alone(session: Session) -> bool:
    """Whether nobody copies or collects now, nor will before this transaction ends."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(KEY))))
