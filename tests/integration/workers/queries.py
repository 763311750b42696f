"""Questions that tests ask the database."""

import uuid

from sqlalchemy import func, select

from models.database import Database
from models.records import AuditRecord, DeletionItem, Outcome, Sample


def outcomes(database: Database, request_id: uuid.UUID) -> dict[Outcome, int]:
    """How many items of a request have each outcome."""
    with database.reading() as session:
        rows = session.execute(
            select(DeletionItem.outcome, func.count())
            .where(DeletionItem.request_id == request_id)
            .group_by(DeletionItem.outcome)
        ).all()
    return {row[0]: row[1] for row in rows}


def sample_row(database: Database, sample_id: str) -> Sample:
    """The row of a sample."""
    with database.reading() as session:
        return session.scalars(select(Sample).where(Sample.sample_id == sample_id)).one()


def audit_events(database: Database) -> list[str]:
    """The names of all audit records, in order."""
    with database.reading() as session:
        return list(session.scalars(select(AuditRecord.event).order_by(AuditRecord.sequence)))
