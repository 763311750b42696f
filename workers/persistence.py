"""Writing through faults of the database: again until it is known what became of it.

A connection that is lost while a transaction commits leaves open whether it was committed. Nothing
is guessed: the transaction is tried again, and begins by looking at what it finds. If the earlier
one was committed, it finds its run ended; if another worker has taken over, another epoch.
"""

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from models.database import is_away
from models.errors import RunEnded

log = logging.getLogger(__name__)

PATIENCE_S = 120.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


def persist(write: Callable[[], None]) -> None:
    """Do `write`, a transaction that locks its lease and its run, until it has been committed once.

    Serialization failures, deadlocks and lost connections are tried again, for two minutes. Raises
    `LeaseLost` if another worker has taken over, `OperationalError` if the database stays away:
    the lease has run out by then, and whoever finds it begins anew.
    """
    deadline = time.monotonic() + PATIENCE_S
    pause = FIRST_PAUSE_S
    while True:
        try:
            write()
        except RunEnded:
            # Under this very epoch: it was this worker's own transaction, committed after all.
            return
        except DBAPIError as error:
            if not is_away(error) or time.monotonic() + pause > deadline:
                raise
            log.warning("Not written, trying again: %s", type(error.orig).__name__)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        else:
            return
