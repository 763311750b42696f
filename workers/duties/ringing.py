"""Ringing for stranded work: its ring was lost, its worker died, or Redis was away.

Nothing is decided here that a claim does not check again.
"""

import uuid

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from models.doorbell import Job
from models.records import (
    Lease,
    ModelState,
    RegisteredModel,
)
from workers.duties.stewardship import Stewardship
from workers.transactions.queueing import has_work


def ring_for_stranded(stewardship: Stewardship) -> int:
    """Ring for every registered model that has work and no live lease; return how many."""
    with stewardship.database.reading() as session:
        stranded = find_stranded(session, stewardship.settings.max_items_per_run)
    for job, model_id in stranded:
        stewardship.doorbell.ring(job, model_id)
    return len(stranded)


def find_stranded(session: Session, limit: int) -> list[tuple[Job, uuid.UUID]]:
    """Registered models that nobody works on although there is something to do, and which job.

    `limit` is how many items a run takes at most.
    """
    held = exists().where(
        Lease.model_id == RegisteredModel.id, Lease.expires_at > func.clock_timestamp()
    )
    enrolling = session.scalars(
        select(RegisteredModel.id).where(RegisteredModel.state == ModelState.ENROLLING, ~held)
    )
    waiting = session.scalars(
        select(RegisteredModel.id).where(
            RegisteredModel.state == ModelState.ACTIVE, ~held, has_work(limit)
        )
    )
    return [(Job.ENROL, model_id) for model_id in enrolling] + [
        (Job.UNLEARN, model_id) for model_id in waiting
    ]
