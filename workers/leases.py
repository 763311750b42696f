"""One writer per registered model: taking, renewing and giving back its lease.

The epoch fences: it grows with every holder, and every write of a run is conditional on it, so a
worker that was taken over can change nothing however late it wakes up. Expiry only says when a
takeover is allowed, in the database's time. Those who do not hold it: `models/fencing.py`.
"""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from models.database import Database
from models.errors import LeaseLost, RunEnded
from models.records import Lease, RunState, UnlearningRun
from models.settings import Settings
from workers.grace import require_time

log = logging.getLogger(__name__)


def take_lease(session: Session, model_id: uuid.UUID, holder: str, lease_s: float) -> int | None:
    """The new epoch, or None if somebody else's lease is alive. Locks the lease row."""
    session.execute(
        insert(Lease)
        .values(model_id=model_id, epoch=0, expires_at=func.to_timestamp(0))
        .on_conflict_do_nothing()
    )
    lease = session.scalars(select(Lease).where(Lease.model_id == model_id).with_for_update()).one()
    now = session.scalar(select(func.clock_timestamp()))
    assert now is not None
    if lease.expires_at > now:
        return None
    lease.epoch += 1
    lease.holder = holder
    lease.expires_at = now + timedelta(seconds=lease_s)
    return lease.epoch


def renew(session: Session, model_id: uuid.UUID, epoch: int, lease_s: float) -> bool:
    """Have the lease run from now; False if it is another's, or was given back.

    To renew one that was given back would lock the next holder out.
    """
    renewed = session.execute(
        update(Lease)
        .where(Lease.model_id == model_id, Lease.epoch == epoch, Lease.holder.is_not(None))
        .values(expires_at=func.clock_timestamp() + timedelta(seconds=lease_s))
        .returning(Lease.epoch)
    )
    return renewed.scalar() is not None


def require_lease(session: Session, model_id: uuid.UUID, epoch: int) -> None:
    """Lock the lease until the transaction ends.

    Raises `LeaseLost` if the epoch has moved on.
    """
    held = session.scalar(select(Lease.epoch).where(Lease.model_id == model_id).with_for_update())
    if held != epoch:
        raise LeaseLost(
            f"The lease is at epoch {held}, this worker holds {epoch}: another one has taken over."
        )


def require_running(
    session: Session, model_id: uuid.UUID, epoch: int, run_id: uuid.UUID
) -> UnlearningRun:
    """The run, locked, and its lease: what every ending of a run begins with.

    Raises `LeaseLost` if the epoch has moved on, `RunEnded` if the run has been ended under this
    very epoch: by an earlier transaction of the same worker, then.
    """
    require_lease(session, model_id, epoch)
    run = session.get_one(UnlearningRun, run_id, with_for_update=True, populate_existing=True)
    if run.state is not RunState.RUNNING:
        raise RunEnded(f"The run is {run.state.value} already.")
    return run


def give_back(session: Session, model_id: uuid.UUID, epoch: int) -> None:
    """Let the next holder in at once."""
    session.execute(
        update(Lease)
        .where(Lease.model_id == model_id, Lease.epoch == epoch)
        .values(holder=None, expires_at=func.to_timestamp(0))
    )


class Heartbeat:
    """Renews a lease from a thread of its own, and remembers if it was lost."""

    def __init__(
        self, database: Database, model_id: uuid.UUID, epoch: int, settings: Settings
    ) -> None:
        self._database = database
        self._model_id = model_id
        self._epoch = epoch
        self._settings = settings
        self._stop = threading.Event()
        self._lost = threading.Event()

    @property
    def lost(self) -> bool:
        """Whether a renewal has found that the lease is no longer this holder's."""
        return self._lost.is_set()

    def check(self) -> None:
        """Called between batches.

        Raises `LeaseLost` if a renewal has found another holder, `WorkerStopping` if there is no
        time left to go on.
        """
        if self.lost:
            raise LeaseLost("Another worker has taken over, or somebody has cancelled it.")
        require_time(self._settings.grace_s)

    @contextmanager
    def beating(self) -> Iterator["Heartbeat"]:
        """Renew for as long as the block runs."""
        thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._settings.heartbeat_s):
            try:
                with self._database.transaction() as session:
                    kept = renew(session, self._model_id, self._epoch, self._settings.lease_s)
            except SQLAlchemyError as error:
                # The lease may run out meanwhile; the epoch still protects what is published.
                log.warning("The lease could not be renewed: %s", type(error).__name__)
                continue
            if not kept:
                self._lost.set()
                return
