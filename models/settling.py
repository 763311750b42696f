"""Settling: what gateway and workers both do when items get their outcomes."""

import uuid

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from models.records import DeletionItem, DeletionRequest, Lease, Outcome, RequestState


def lock_lease(session: Session, model_id: uuid.UUID) -> None:
    """Every transaction of a worker locks the lease first; so does every one of a person.

    Else they could wait for each other's items and requests.
    """
    session.execute(select(Lease.epoch).where(Lease.model_id == model_id).with_for_update())


def settle_requests(session: Session, model_id: uuid.UUID) -> None:
    """Settle the pending requests of a registered model whose items all have an outcome."""
    pending_item = exists().where(
        DeletionItem.request_id == DeletionRequest.id, DeletionItem.outcome == Outcome.PENDING
    )
    session.execute(
        update(DeletionRequest)
        .where(
            DeletionRequest.model_id == model_id,
            DeletionRequest.state == RequestState.PENDING,
            ~pending_item,
        )
        .values(state=RequestState.SETTLED, settled_at=func.now())
    )
