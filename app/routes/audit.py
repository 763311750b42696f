"""The audit log, for reading."""

from fastapi import APIRouter
from sqlalchemy import select

from app import cursors
from app.dependencies import Admin, Cursor, DatabaseDependency, Limit
from app.schemas.audit import AuditPage, AuditView
from models.audit.events import Event
from models.records import AuditRecord, RegisteredModel
from models.registry import find_model

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("/records")
def list_audit_records(
    _principal: Admin,
    database: DatabaseDependency,
    model: str | None = None,
    event: Event | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AuditPage:
    """What happened, oldest first. The database refuses to change these records."""
    query = (
        select(AuditRecord, RegisteredModel.name)
        .outerjoin(RegisteredModel, RegisteredModel.id == AuditRecord.model_id)
        .order_by(AuditRecord.sequence)
    )
    if event is not None:
        query = query.where(AuditRecord.event == event)
    if cursor is not None:
        (after,) = cursors.decode(cursor, int)
        query = query.where(AuditRecord.sequence > after)
    with database.reading() as session:
        if model is not None:
            query = query.where(AuditRecord.model_id == find_model(session, model).id)
        found = session.execute(query.limit(limit + 1)).all()
    page = found[:limit]
    return AuditPage(
        records=[
            AuditView(
                sequence=record.sequence,
                recorded_at=record.recorded_at,
                event=record.event,
                actor=record.actor,
                model=name,
                request=record.request_id,
                run=record.run_id,
                details=record.details,
            )
            for record, name in page
        ],
        next=cursors.encode([page[-1][0].sequence]) if len(found) > limit else None,
    )
