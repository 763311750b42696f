"""Posting deletion requests."""

from email.message import Message
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response
from fastapi.exceptions import RequestValidationError

from app.dependencies import GroupingDependency, Requester, SettingsDependency
from app.posted import read_posted
from app.problems import RETRY_AFTER_S
from app.schemas.deletion_requests import AcceptedRequest, NewDeletionRequest
from models.errors import UnsupportedMediaType

router = APIRouter(prefix="/v1/deletion-requests", tags=["deletion requests"])

JSON = "application/json"
# Parsing more than this takes so long that the event loop must not do it.
LARGE_BODY = 1 << 16
BODIES: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {"schema": {"$ref": f"#/components/schemas/{NewDeletionRequest.__name__}"}},
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


@router.post(
    "",
    status_code=202,
    response_model=AcceptedRequest,
    openapi_extra={"requestBody": BODIES},
)
async def create_deletion_request(
    request: Request,
    principal: Requester,
    settings: SettingsDependency,
    grouping: GroupingDependency,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask that samples be forgotten. 202 means that the service has taken it over, durably."""
    body = await request.body()
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "It is empty"}])
    _require_json(request.headers.get("content-type"))
    given = (body, idempotency_key, principal, settings.max_inline_ids)
    if len(body) > LARGE_BODY:
        posted = await to_thread.run_sync(read_posted, *given)
    else:
        posted = read_posted(*given)
    accepted = await grouping.accept(posted)
    return Response(
        accepted.model_dump_json(),
        status_code=202,
        media_type=JSON,
        headers={
            "Location": f"/v1/deletion-requests/{accepted.id}",
            "Retry-After": RETRY_AFTER_S,
        },
    )


def _require_json(content_type: str | None) -> None:
    message = Message()
    message["content-type"] = content_type or ""
    kind = message.get_content_type()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType(
            "Deletion requests are posted as application/json or application/x-ndjson. "
            "Say in Content-Type which it is."
        )
