"""Flagging deletion requests that are still pending although their deadline has passed."""

import logging

from sqlalchemy import func, select

from models.audit.append import append
from models.audit.events import Event
from models.records import DeletionRequest, RequestState
from workers.duties.stewardship import Stewardship

log = logging.getLogger(__name__)

# One round flags so many; the next goes on.
AT_ONCE = 100


def flag_overdue(stewardship: Stewardship) -> int:
    """Flag each of them once, on its row, on the audit log and in the log; return how many."""
    with stewardship.database.transaction() as session:
        overdue = session.scalars(
            select(DeletionRequest)
            .where(
                DeletionRequest.state == RequestState.PENDING,
                DeletionRequest.overdue_since.is_(None),
                DeletionRequest.deadline < func.now(),
            )
            .order_by(DeletionRequest.deadline)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        now = session.scalar(select(func.now()))
        for request in overdue:
            request.overdue_since = now
            append(
                session,
                Event.REQUEST_OVERDUE,
                actor="steward",
                model_id=request.model_id,
                request_id=request.id,
            )
    for request in overdue:
        log.warning("Deletion request %s has missed its deadline.", request.id)
    return len(overdue)
