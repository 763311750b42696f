"""Writing to the audit log, always in the transaction of what it records."""

import uuid

from sqlalchemy.orm import Session

from models.audit.events import Event
from models.records import AuditRecord
from models.records.base import Json


def append(
    session: Session,
    event: Event,
    *,
    actor: str,
    model_id: uuid.UUID | None = None,
    request_id: uuid.UUID | None = None,
    run_id: uuid.UUID | None = None,
    details: Json | None = None,
) -> None:
    """Record `event`. It stands if and only if the transaction of `session` commits."""
    session.add(
        AuditRecord(
            event=event.value,
            actor=actor,
            model_id=model_id,
            request_id=request_id,
            run_id=run_id,
            details=details or {},
        )
    )
