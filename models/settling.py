"""Settling: what gateway and workers both do when items get their outcomes."""

import uuid

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RequestState,
    RunState,
    UnlearningRun,
)


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


def cancel_request(
    session: Session, request: DeletionRequest, actor: str, run_id: uuid.UUID | None = None
) -> None:
    """Withdraw a request, which is locked, and what is pending of it; `run_id` had to stop for it.

    The caller has made sure that nothing of it is being carried out. What was held for a review
    with it is tried anew: without it, it may pass.
    """
    _free_what_was_held_with(session, request)
    session.execute(
        update(DeletionItem)
        .where(DeletionItem.request_id == request.id, DeletionItem.outcome == Outcome.PENDING)
        .values(outcome=Outcome.CANCELLED, run_id=None, settled_at=func.now())
    )
    request.state = RequestState.CANCELLED
    request.settled_at = session.scalar(select(func.now()))
    append(
        session,
        Event.REQUEST_CANCELLED,
        actor=actor,
        model_id=request.model_id,
        request_id=request.id,
        run_id=run_id,
    )
    session.flush()


def _free_what_was_held_with(session: Session, request: DeletionRequest) -> None:
    pending = DeletionItem.outcome == Outcome.PENDING
    its_own = exists().where(
        pending, DeletionItem.request_id == request.id, DeletionItem.run_id == UnlearningRun.id
    )
    held = select(UnlearningRun.id).where(UnlearningRun.state == RunState.NEEDS_REVIEW, its_own)
    session.execute(
        update(DeletionItem)
        .where(pending, DeletionItem.request_id != request.id, DeletionItem.run_id.in_(held))
        .values(run_id=None)
    )
