"""Exclusions: what a network is to be retrained without."""

import uuid
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import ColumnElement, case, exists, literal, or_, select

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


@router.get(
    "",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
def list_exclusions(
    model: str, principal: Admin, database: DatabaseDependency
) -> StreamingResponse:
    """Every sample whose deletion was asked for and not withdrawn, one JSON object a line.

    `sample_id` and `state`: forgotten, weakened, rejected in review, or pending. Retrain without
    all of them. That somebody has read the list is on the audit log.
    """
    with database.transaction() as session:
        identity = find_model(session, model).id
        append(session, Event.EXCLUSIONS_READ, actor=principal.name, model_id=identity)
    return StreamingResponse(_lines(database, identity), media_type=MEDIA_TYPE)


def _lines(database: Database, model_id: uuid.UUID) -> Iterator[bytes]:
    def asked(outcome: Outcome) -> ColumnElement[bool]:
        return exists().where(
            DeletionItem.model_id == Sample.model_id,
            DeletionItem.sample_id == Sample.sample_id,
            DeletionItem.outcome == outcome,
            DeletionItem.request_id == DeletionRequest.id,
            DeletionRequest.mode == RequestMode.DELETE,
        )

    forgotten = Sample.forgotten_version.is_not(None)
    rejected, pending = asked(Outcome.REJECTED), asked(Outcome.PENDING)
    state = case(
        (Sample.weakened, literal("weakened")),
        (forgotten, literal("forgotten")),
        (pending, literal("pending")),
        else_=literal("rejected"),
    )
    query = (
        select(Sample.sample_id, state)
        .where(Sample.model_id == model_id, or_(forgotten, pending, rejected))
        .order_by(Sample.position)
        .execution_options(yield_per=CHUNK)
    )
    with database.reading() as session:
        for sample_id, found in session.execute(query):
            line = Exclusion(sample_id=sample_id, state=found).model_dump_json()
            yield line.encode() + b"\n"
