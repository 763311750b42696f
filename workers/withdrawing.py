"""Carrying out withdrawals that had to wait for a run to end."""

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.records import DeletionItem, DeletionRequest, Outcome, RequestState, UnlearningRun


def withdraw_asked_for(session: Session, run: UnlearningRun) -> int:
    """Cancel the requests of a run that were withdrawn meanwhile; return how many.

    However a run ends that has settled nothing: whoever was told that the request is going to be
    withdrawn must not find it carried out by the next one.
    """
    asked = select(DeletionRequest.id).where(
        DeletionRequest.model_id == run.model_id,
        DeletionRequest.state == RequestState.PENDING,
        DeletionRequest.cancel_requested_at.is_not(None),
        exists().where(
            DeletionItem.request_id == DeletionRequest.id, DeletionItem.run_id == run.id
        ),
    )
    requests = session.scalars(
        select(DeletionRequest).where(DeletionRequest.id.in_(asked)).with_for_update()
    ).all()
    session.execute(
        update(DeletionItem)
        .where(DeletionItem.request_id.in_([request.id for request in requests]))
        .where(DeletionItem.outcome == Outcome.PENDING)
        .values(outcome=Outcome.CANCELLED, run_id=None, settled_at=func.now())
    )
    for request in requests:
        request.state = RequestState.CANCELLED
        request.settled_at = session.scalar(select(func.now()))
        append(
            session,
            Event.REQUEST_CANCELLED,
            actor=request.principal,
            model_id=run.model_id,
            request_id=request.id,
            run_id=run.id,
        )
    session.flush()
    return len(requests)
