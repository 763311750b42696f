"""Exclusions: what a network is to be retrained without."""

import uuid
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import ColumnElement, case, func, literal, or_, select

from app.dependencies import Admin, DatabaseDependency
from app.schemas.registered_models import Exclusion
from models.audit.append import append
from models.audit.events import Event
from models.database import Database
from models.records import DeletionItem, DeletionRequest, Outcome, RequestMode, Sample
from models.registry import find_model

router = APIRouter(prefix="/v1/models/{model}/exclusions", tags=["registered models"])

MEDIA_TYPE = "application/x-ndjson"
# Rows fetched at a time.
CHUNK = 1000
# Outcomes of items whose samples are, or may be, in the network still.
ASKED_FOR = (Outcome.PENDING, Outcome.REJECTED, Outcome.QUARANTINED, Outcome.FAILED)


@router.get(
    "",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
def list_exclusions(
    model: str, principal: Admin, database: DatabaseDependency
) -> StreamingResponse:
    """Every sample whose deletion was asked for and not withdrawn, one JSON object a line.

    `sample_id` and `state`: forgotten, weakened, rejected in review, quarantined, failed, or
    pending. Retrain without all of them. That somebody has read the list is on the audit log.
    """
    with database.transaction() as session:
        identity = find_model(session, model).id
        append(session, Event.EXCLUSIONS_READ, actor=principal.name, model_id=identity)
    return StreamingResponse(_lines(database, identity), media_type=MEDIA_TYPE)


def _lines(database: Database, model_id: uuid.UUID) -> Iterator[bytes]:
    def any_is(outcome: Outcome) -> ColumnElement[bool]:
        return func.bool_or(DeletionItem.outcome == outcome)

    # Grouped and joined once: asked row by row it would take items times samples.
    asked = (
        select(
            DeletionItem.sample_id,
            any_is(Outcome.PENDING).label("pending"),
            any_is(Outcome.REJECTED).label("rejected"),
            any_is(Outcome.QUARANTINED).label("quarantined"),
        )
        .join(DeletionRequest, DeletionRequest.id == DeletionItem.request_id)
        .where(
            DeletionItem.model_id == model_id,
            DeletionItem.outcome.in_(ASKED_FOR),
            DeletionRequest.mode == RequestMode.DELETE,
        )
        .group_by(DeletionItem.sample_id)
        .subquery()
    )
    forgotten = Sample.forgotten_version.is_not(None)
    state = case(
        (Sample.weakened, literal("weakened")),
        (forgotten, literal("forgotten")),
        (asked.c.pending, literal("pending")),
        (asked.c.rejected, literal("rejected")),
        (asked.c.quarantined, literal("quarantined")),
        else_=literal("failed"),
    )
    query = (
        select(Sample.sample_id, state)
        .outerjoin(asked, asked.c.sample_id == Sample.sample_id)
        .where(Sample.model_id == model_id, or_(forgotten, asked.c.sample_id.is_not(None)))
        .order_by(Sample.position)
        .execution_options(yield_per=CHUNK)
    )
    with database.reading() as session:
        for sample_id, found in session.execute(query):
            line = Exclusion(sample_id=sample_id, state=found).model_dump_json()
            yield line.encode() + b"\n"
