"""Exclusions: what a network is to be retrained without."""

import json
import uuid
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import ColumnElement, Select, case, func, literal, or_, select

from app.dependencies import Admin, DatabaseDependency
from app.schemas.media_types import NDJSON
from app.schemas.registered_models import Exclusion
from models.audit.append import append
from models.audit.events import Event
from models.database import Database
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RequestMode,
    RequestState,
    Sample,
)
from models.registry import find_model

router = APIRouter(prefix="/v1/models/{model}/exclusions", tags=["registered models"])

# Rows fetched at a time.
CHUNK = 1000
# A longer list is written to disk, and sent in pieces.
IN_MEMORY = 1 << 20
PIECE = 1 << 16
# Outcomes of items whose samples are, or may be, in the network still.
ASKED_FOR = (Outcome.PENDING, Outcome.REJECTED, Outcome.QUARANTINED, Outcome.FAILED)


@router.get(
    "",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                NDJSON: {
                    "schema": {"type": "string"},
                    "example": '{"sample_id":"digit-12","state":"forgotten"}\n{"excluded": 1}\n',
                }
            }
        }
    },
)
def list_exclusions(
    model: str, principal: Admin, database: DatabaseDependency
) -> StreamingResponse:
    """Every sample whose deletion was asked for and not withdrawn, one JSON object a line.

    `sample_id` and `state`: forgotten, weakened, rejected in review, quarantined, failed, or
    pending. Retrain without all of them. The last line is another: `{"excluded": 123}` says how
    many lines come before it. **A list without it was cut off, and must not be used.**

    The list is of one moment, that of asking for it, however long it is read. That somebody has
    read it is on the audit log.
    """
    with database.transaction() as session:
        identity = find_model(session, model).id
        append(session, Event.EXCLUSIONS_READ, actor=principal.name, model_id=identity)
    file = _written(database, identity)
    # With its length on it, a client that looks at nothing else sees a cut, too.
    headers = {"Content-Length": str(file.tell()), "Cache-Control": "no-store"}
    return StreamingResponse(_pieces(file), media_type=NDJSON, headers=headers)


def _written(database: Database, model_id: uuid.UUID) -> SpooledTemporaryFile[bytes]:
    """The list in a file that goes with its last reader: a slow one must hold no connection.

    All of it by one query, since a page would cost as much: the samples of all items are looked up.
    """
    file = SpooledTemporaryFile[bytes](IN_MEMORY)
    count = 0
    with database.reading() as session:
        for sample_id, state in session.execute(_excluded(model_id)):
            line = Exclusion(sample_id=sample_id, state=state).model_dump_json()
            file.write(line.encode() + b"\n")
            count += 1
    file.write(json.dumps({"excluded": count}).encode() + b"\n")
    return file


def _pieces(file: SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def _excluded(model_id: uuid.UUID) -> Select[str, str]:
    """Sample IDs and states, in the order of the dataset."""

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
            # What had failed before a request was withdrawn keeps its outcome.
            DeletionRequest.state != RequestState.CANCELLED,
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
    return (
        select(Sample.sample_id, state)
        .outerjoin(asked, asked.c.sample_id == Sample.sample_id)
        .where(Sample.model_id == model_id, or_(forgotten, asked.c.sample_id.is_not(None)))
        .order_by(Sample.position)
        .execution_options(yield_per=CHUNK)
    )
