"""Posting deletion requests: a JSON body, or very many sample IDs as NDJSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from app.dependencies import Requester
from app.intake.bodies import media_type, streamed
from app.intake.bulk import RequestHeader, accept_bulk
from app.intake.grouping import Grouping
from app.intake.posted import read_posted
from app.problems import RETRY_AFTER_S, refusals
from app.schemas.answers import Answers, described
from app.schemas.deletion_requests import AcceptedRequest, Deadline, NewDeletionRequest
from app.schemas.media_types import JSON, NDJSON
from models.errors import UnsupportedEncoding, UnsupportedMediaType
from models.records import RequestMode
from models.records.sample import SAMPLE_ID
from models.settings import Settings
from models.specifications import MODEL_NAME

PATH = "/v1/deletion-requests"
router = APIRouter(prefix=PATH, tags=["deletion requests"])

# Parsing more than this takes so long that the event loop must not do it.
LARGE_BODY = 1 << 16
BODIES: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {"schema": {"$ref": f"#/components/schemas/{NewDeletionRequest.__name__}"}},
        NDJSON: {
            "schema": {
                "type": "string",
                "description": 'One sample ID a line: a JSON string, or `{"sample_id": "…"}`. '
                "`Content-Encoding: gzip` is taken. The model and the rest are query parameters.",
            },
            "example": '"digit-12"\n{"sample_id": "digit-340"}\n',
        },
    },
}

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Your own unique key: a repetition gets the first answer and does nothing.",
    ),
]


ANSWERS: Answers = {
    202: {"headers": described("Location", "Retry-After")},
    **refusals(
        "model-not-active",
        "model-retired",
        "expands-too-much",
        "unsupported-encoding",
        "idempotency-key-reused",
        "forgets-too-much",
        "nothing-retained",
        "malformed-encoding",
        "malformed-line",
        "too-many-samples",
    ),
}


@dataclass(frozen=True)
class BulkQuery:
    """What an NDJSON body has no place for; a JSON body holds it itself."""

    model: str | None
    mode: RequestMode | None
    reference: str | None
    deadline: datetime | None

    def require_absent(self) -> None:
        """Raise if anything is given: it would be ignored, and `mode` must not be."""
        for name, value in vars(self).items():
            if value is not None:
                raise _invalid(name, "belongs in the body, which is JSON")

    def header(self, principal: str, idempotency_key: str | None) -> RequestHeader:
        """All of it; raises if there is no model."""
        if self.model is None:
            raise _invalid("model", "is needed with an NDJSON body")
        return RequestHeader(
            model=self.model,
            mode=self.mode or RequestMode.DELETE,
            reference=self.reference,
            deadline=self.deadline,
            principal=principal,
            idempotency_key=idempotency_key,
        )


# Asynchronous: a class would be made in one of the threads that reading takes, and wait for it.
async def _bulk_query(
    model: Annotated[str | None, Query(pattern=MODEL_NAME)] = None,
    mode: RequestMode | None = None,
    reference: Annotated[str | None, Query(max_length=255, pattern=SAMPLE_ID)] = None,
    deadline: Annotated[Deadline | None, Field()] = None,
) -> BulkQuery:
    return BulkQuery(model, mode, reference, deadline)


@router.post(
    "",
    status_code=202,
    response_model=AcceptedRequest,
    responses=ANSWERS,
    openapi_extra={"requestBody": BODIES},
)
async def create_deletion_request(
    request: Request,
    principal: Requester,
    query: Annotated[BulkQuery, Depends(_bulk_query)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask that samples be forgotten. 202 means that the service has taken it over, durably.

    Up to some ten thousand sample IDs are best sent as JSON; up to ten million can be sent as
    NDJSON, with the other members as query parameters. All of them are accepted, or none.
    """
    # Not as dependencies: the framework takes longer to find them than we to write the request.
    settings: Settings = request.app.state.settings
    grouping: Grouping = request.app.state.grouping
    kind = media_type(request)
    if kind == NDJSON:
        header = query.header(principal.name, idempotency_key)

        def accept() -> Any:
            return accept_bulk(grouping.intake, header, batches, settings.max_bulk_ids)

        batches = streamed(request, settings)
        return _answer(await grouping.accept_with(accept))
    query.require_absent()
    body = await request.body()
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "is empty"}])
    if kind != JSON:
        raise UnsupportedMediaType(
            f"Deletion requests are posted as {JSON} or {NDJSON}. Say in Content-Type which it is."
        )
    if "content-encoding" in request.headers:
        raise UnsupportedEncoding(f"Only {NDJSON} bodies may have a Content-Encoding.")
    given = (body, idempotency_key, principal, settings.max_inline_ids)
    if len(body) > LARGE_BODY:
        posted = await to_thread.run_sync(read_posted, *given, limiter=grouping.parsing)
    else:
        posted = read_posted(*given)
    return _answer(await grouping.accept(posted))


def _answer(accepted: AcceptedRequest) -> Response:
    return Response(
        accepted.model_dump_json(),
        status_code=202,
        media_type=JSON,
        headers={
            "Location": f"{PATH}/{accepted.id}",
            "Retry-After": RETRY_AFTER_S,
        },
    )


def _invalid(parameter: str, what: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "value_error", "loc": ("query", parameter), "msg": what}]
    )
