"""Carrying out withdrawals that had to wait for a run to end."""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from models.records import DeletionItem, DeletionRequest, RequestState, UnlearningRun
from models.settling import cancel_request


def withdraw_asked_for(session: Session, run: UnlearningRun) -> int:
    """Cancel the requests of a run that were withdrawn meanwhile; return how many.

    However a run ends that has settled nothing: whoever was told that the request is going to be
    withdrawn must not find it carried out by the next one.
    """
    items = exists().where(
        DeletionItem.request_id == DeletionRequest.id, DeletionItem.run_id == run.id
    )
    asked = session.scalars(
        select(DeletionRequest)
        .where(
            DeletionRequest.model_id == run.model_id,
            DeletionRequest.state == RequestState.PENDING,
            DeletionRequest.cancel_requested_at.is_not(None),
            items,
        )
        .with_for_update()
    ).all()
    for request in asked:
        assert request.cancel_requested_by is not None
        cancel_request(session, request, request.cancel_requested_by, run.id)
    return len(asked)
