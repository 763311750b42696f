"""Ending the runs of workers that are gone, whoever notices: a claim, a steward, a parent.

Its epoch is taken away first, so a worker that was only asleep can change nothing when it wakes up.
"""

import signal
import uuid
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.database import Database
from models.fencing import take_away
from models.records import Lease, RunState, UnlearningRun
from models.records.base import Json
from models.settings import Settings
from models.settling import settle_requests
from workers.failures import Failure
from workers.resources import actor_of
from workers.transactions.releases import Cause, release_items
from workers.transactions.settlement import end_run

LOST = "Its worker stopped renewing the lease: it died, or lost the database."


@dataclass(frozen=True)
class Death:
    """How the process of a run ended, as its parent saw it."""

    signal: int | None
    exit_status: int | None
    peak_bytes: int

    def as_json(self) -> Json:
        """As it is kept with the run and on the audit log."""
        return asdict(self)

    def sentence(self) -> str:
        """What a person can make of it."""
        peak = f"after using {self.peak_bytes / 2**20:.0f} MiB of memory"
        if self.signal is None:
            return f"Its process ended with status {self.exit_status} {peak}."
        name = signal.Signals(self.signal).name
        told = f"Its process was ended by {name} {peak}."
        if self.signal == signal.SIGKILL:
            told += " If nobody killed it, the system did, for lack of memory."
        return told


def end_lost_runs(
    session: Session,
    model_id: uuid.UUID,
    settings: Settings,
    *,
    actor: str,
    death: Death | None = None,
    cause: Cause = Cause.ITS_WORKER,
) -> int:
    """End what is still `running`; return how many runs were. The caller has taken the lease."""
    lost = session.scalars(
        select(UnlearningRun)
        .where(UnlearningRun.model_id == model_id, UnlearningRun.state == RunState.RUNNING)
        .with_for_update()
    ).all()
    for run in lost:
        failure = (
            Failure("worker-lost", LOST)
            if death is None
            else Failure("worker-died", death.sentence())
        )
        end_run(session, run, RunState.ABANDONED, failure=failure)
        run.death = None if death is None else death.as_json()
        release_items(session, run, cause, failure.detail, settings, actor=actor)
        append(
            session,
            Event.RUN_ABANDONED,
            actor=actor,
            model_id=model_id,
            run_id=run.id,
            details={"kind": failure.kind, **(run.death or {})},
        )
    if lost:
        settle_requests(session, model_id)
    return len(lost)


def take_over(
    session: Session,
    lease: Lease,
    settings: Settings,
    *,
    actor: str,
    death: Death | None = None,
    cause: Cause = Cause.ITS_WORKER,
) -> int:
    """End the runs of a lease's holder, who is gone, and free it; return how many runs these were.

    The caller has locked the lease.
    """
    take_away(session, lease.model_id)
    return end_lost_runs(session, lease.model_id, settings, actor=actor, death=death, cause=cause)


def bury(
    database: Database, holder: str, death: Death, cause: Cause, settings: Settings
) -> list[uuid.UUID]:
    """End the runs of a process whose death was seen; return the registered models it worked on.

    Nobody has to wait for its leases to run out.
    """
    actor = actor_of(holder)
    with database.transaction() as session:
        leases = session.scalars(
            select(Lease).where(Lease.holder == holder).with_for_update()
        ).all()
        for lease in leases:
            take_over(session, lease, settings, actor=actor, death=death, cause=cause)
        return [lease.model_id for lease in leases]
