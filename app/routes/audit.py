"""The audit log, for reading and for following."""

from fastapi import APIRouter, Response
from sqlalchemy import select

from app import cursors
from app.dependencies import Admin, Cursor, DatabaseDependency, Limit
from app.schemas.audit import AuditPage, AuditView
from models.audit.events import Event
from models.audit.following import complete_to, last_given
from models.errors import InvalidCursor
from models.records import AuditRecord, RegisteredModel
from models.registry import find_model

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("/records")
def list_audit_records(
    response: Response,
    _principal: Admin,
    database: DatabaseDependency,
    model: str | None = None,
    event: Event | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AuditPage:
    """What happened, oldest first. The database refuses to change these records.

    To follow the log, ask again with `next` of the page before, whether that was empty or not:
    every record comes once. A page ends before a record that is being written, such as a
    publication's, so others may come later by as much as that takes; what else the database is
    doing holds nothing back. A cursor from beyond the log's end is refused: the database was set
    back since it was given.
    """
    after = _after(cursor)
    query = (
        select(AuditRecord, RegisteredModel.name)
        .outerjoin(RegisteredModel, RegisteredModel.id == AuditRecord.model_id)
        .where(AuditRecord.sequence > after)
        .order_by(AuditRecord.sequence)
        .limit(limit)
    )
    if event is not None:
        query = query.where(AuditRecord.event == event)
    with database.reading() as session:
        if after > last_given(session):
            # It would have to wait until the log has come so far again, and miss all until then.
            raise InvalidCursor(
                "The cursor lies beyond the end of this log: the database has been set back to "
                "before it was given. Start again without it, to find what is new."
            )
        if model is not None:
            query = query.where(AuditRecord.model_id == find_model(session, model).id)
        # Asked first: a record that is committed in between must not lie before the end.
        end = complete_to(session)
        found = session.execute(query.where(AuditRecord.sequence <= end)).all()
    # A page that is not full has seen all there is to its end, whatever it was filtered by.
    last = found[-1][0].sequence if len(found) == limit else max(after, end)
    response.headers["Cache-Control"] = "private, no-cache"
    return AuditPage(
        records=[_view(record, name) for record, name in found],
        next=cursors.encode([last]),
    )


def _after(cursor: str | None) -> int:
    if cursor is None:
        return 0
    (after,) = cursors.decode(cursor, int)
    return int(after)


def _view(record: AuditRecord, model: str | None) -> AuditView:
    return AuditView(
        sequence=record.sequence,
        recorded_at=record.recorded_at,
        event=record.event,
        actor=record.actor,
        model=model,
        request=record.request_id,
        run=record.run_id,
        details=record.details,
    )
