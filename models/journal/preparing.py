"""Whether a publication that was prepared has been committed, by what is known of its run.

A run says in its row that it begins to publish (`Phase.PUBLISH`) before the journal has a record of
it, and has its version from the moment that it ends. So if it is known without a version

- the database may be older than the record: it does not know that the run has begun to publish, or
  a backup was restored into it in which the run is under way. What was published then cannot be
  known. It counts as published: to ask once more for what never was does no harm;
- or it is the one that the run was to publish in. Its worker has given up, and has written so, or
  has died before it could commit. Nothing was published, and the model need not wait for it.

A copy that is no backup of ours (a snapshot, a replica that lags) looks like the latter if it is of
the very moment between the first of these commits and the second. What was published is missed then
if the worker also died in the moment between the second and the renaming of the record, and no
steward came by before the database was lost.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import Session

from models.audit.events import Event
from models.records import AuditRecord, Checkpoint, Phase, RunState, UnlearningRun


@dataclass(frozen=True)
class PreparingRun:
    """What the database knows of a run that has prepared a publication."""

    state: RunState
    phase: Phase
    has_version: bool
    # Whether a backup was restored since the run began.
    was_restored: bool

    @property
    def is_running(self) -> bool:
        """Whether it may yet publish."""
        return self.state is RunState.RUNNING

    @property
    def may_have_published(self) -> bool:
        """Whether there may be a version of it that somebody has seen."""
        if self.has_version:
            return True
        if self.is_running:
            # As the backup has it, whose epoch nobody can write under any more.
            return self.was_restored
        # Every other end a run's own worker writes, who has not published then.
        taken_over = self.state is RunState.ABANDONED
        return taken_over and (self.was_restored or self.phase is not Phase.PUBLISH)


def find_preparing(session: Session, runs: Sequence[uuid.UUID]) -> dict[uuid.UUID, PreparingRun]:
    """Those of the runs that the database knows."""
    # One statement, so that a commit is seen whole or not at all.
    rows = session.execute(
        select(
            UnlearningRun.id,
            UnlearningRun.state,
            UnlearningRun.phase,
            Checkpoint.id.is_not(None),
            func.coalesce(_last_restored() > _began(), False),
        )
        .outerjoin(Checkpoint, Checkpoint.run_id == UnlearningRun.id)
        .where(UnlearningRun.id.in_(runs))
    )
    return {row[0]: PreparingRun(row[1], row[2], row[3], row[4]) for row in rows}


def _last_restored() -> ScalarSelect[int]:
    return (
        select(func.max(AuditRecord.sequence))
        .where(AuditRecord.model_id.is_(None), AuditRecord.event == Event.DATABASE_RESTORED)
        .scalar_subquery()
    )


def _began() -> ScalarSelect[int]:
    """The number of the record of its beginning."""
    return (
        select(func.min(AuditRecord.sequence))
        .where(
            AuditRecord.model_id == UnlearningRun.model_id, AuditRecord.run_id == UnlearningRun.id
        )
        .correlate(UnlearningRun)
        .scalar_subquery()
    )
