"""Settling requests: what gateway and workers both do once items have got their outcomes."""

import uuid

from sqlalchemy import exists, func, update
from sqlalchemy.orm import Session

from models.records import DeletionItem, DeletionRequest, Outcome, RequestState


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
