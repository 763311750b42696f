"""What a worker has done with a run, on the audit log."""

from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.records.base import Json
from workers.resources import Resources
from workers.runs import Run


def record(session: Session, event: Event, run: Run, resources: Resources, details: Json) -> None:
    """Append an event of a run, in the transaction that makes it so."""
    append(
        session,
        event,
        actor=resources.actor,
        model_id=run.model_id,
        run_id=run.id,
        details=details,
    )
