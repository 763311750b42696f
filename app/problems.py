"""The one table from domain errors to HTTP: status and title of every problem (RFC 9457).

A problem's `type` is `urn:expunge:problem:` and the error's kind; it does not change once released.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.schemas.answers import Answers, described
from app.schemas.problems import Problem
from models.database import is_away, refuses_writes
from models.errors import ExpungeError
from models.specifications.sentences import violation

TABLE: Mapping[str, tuple[int, str]] = {
    "malformed-json": (400, "The body is not JSON"),
    "invalid-cursor": (400, "Invalid cursor"),
    "not-authenticated": (401, "An API key is needed"),
    "not-permitted": (403, "The API key does not allow this"),
    "unknown-model": (404, "No such registered model"),
    "unknown-request": (404, "No such deletion request"),
    "unknown-run": (404, "No such run"),
    "unknown-checkpoint": (404, "No such checkpoint"),
    "unknown-sample": (404, "No such sample"),
    "unknown-report": (404, "The run has no report"),
    "not-found": (404, "No such resource"),
    "method-not-allowed": (405, "The resource does not have this method"),
    "body-timeout": (408, "The body did not come in time"),
    "model-exists": (409, "The name is taken"),
    "model-not-active": (409, "The registered model is not enrolled"),
    "model-enrolling": (409, "The registered model is being enrolled"),
    "model-not-enrolling": (409, "There is no enrolment to stop"),
    "request-not-pending": (409, "The deletion request is no longer pending"),
    "run-not-held": (409, "The run does not wait for a review"),
    "run-not-running": (409, "The run has ended"),
    "checkpoint-withdrawn": (410, "The checkpoint carries forgotten samples"),
    "model-retired": (410, "The registered model is retired"),
    "precondition-failed": (412, "It is not what the client has seen"),
    "body-too-large": (413, "The body is too large"),
    "expands-too-much": (413, "The body expands to more than is taken"),
    "unsupported-encoding": (415, "The body is encoded in a way that is not taken"),
    "unsupported-media-type": (415, "Unsupported Content-Type"),
    "range-not-satisfiable": (416, "The range lies outside the file"),
    "idempotency-key-reused": (422, "The Idempotency-Key was used before with a different body"),
    "unknown-rung": (422, "The ladder has no such rung"),
    "rung-gives-back": (422, "The candidate gives back what has been forgotten"),
    "invalid-policy": (422, "Not a policy that this registered model can have"),
    "forgets-too-much": (422, "More than the policy allows to forget"),
    "nothing-retained": (422, "Nothing would be retained"),
    "malformed-encoding": (422, "The body is not encoded as it says"),
    "malformed-line": (422, "A line holds no sample ID"),
    "too-many-samples": (422, "Too many sample IDs in one request"),
    "invalid-request": (422, "The request does not have the form it must have"),
    "internal-error": (500, "The service failed"),
    "artifact-missing": (500, "A stored file is missing"),
    "artifact-damaged": (500, "A stored file is damaged"),
    "model-behind": (503, "The database is older than what has been published"),
    "too-busy": (503, "Too many requests at once"),
    "database-unavailable": (503, "The database cannot be reached"),
}
TYPE = "urn:expunge:problem:"
MEDIA_TYPE = "application/problem+json"
CONTENT = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
PROBLEM_RESPONSES: Answers = {
    "default": {"description": "A problem (RFC 9457); its `type` is stable.", "content": CONTENT}
}
# What the framework itself says no to. It answers 400 to a body that it cannot decode.
OF_STATUS = {400: "malformed-json", 404: "not-found", 405: "method-not-allowed"}
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
RETRY_AFTER_S = "2"

# What an operation may answer by what it takes; each route says what is its own (`refusals`).
WITH_KEY = ("not-authenticated", "not-permitted", "database-unavailable")
WITH_BODY = (
    "malformed-json",
    "unsupported-media-type",
    "body-timeout",
    "body-too-large",
    "too-busy",
    "invalid-request",
)
WITH_PARAMETER: Mapping[str, tuple[str, ...]] = {
    "cursor": ("invalid-cursor",),
    "model": ("unknown-model",),
    "request_id": ("unknown-request",),
    "run_id": ("unknown-run",),
    "sample_id": ("unknown-sample",),
    "version": ("unknown-checkpoint",),
}


class DatabaseUnavailable(ExpungeError):
    """PostgreSQL did not answer, or all connections were busy for too long."""


def problem(
    kind: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    violations: Sequence[Mapping[str, str]] = (),
) -> JSONResponse:
    """A problem of the table."""
    status, title = TABLE[kind]
    body: dict[str, Any] = {
        "type": f"{TYPE}{kind}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if violations:
        body["errors"] = violations
    extra = dict(headers or {})
    if status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    if status == 408:
        extra["Connection"] = "close"
    if status == 503:
        extra["Retry-After"] = RETRY_AFTER_S
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=extra)


def problem_response(error: ExpungeError) -> JSONResponse:
    """The problem of a domain error."""
    return problem(error.kind, str(error))


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.add_exception_handler(ExpungeError, _domain_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DBAPIError, _no_database)
    app.add_exception_handler(PoolTimeout, _no_database)


def refusals(*kinds: str) -> Answers:
    """What a route may answer besides, for its `responses`: problems of the table, by status."""
    by_status: dict[int | str, list[str]] = {}
    for kind in kinds:
        status, title = TABLE[kind]
        by_status.setdefault(status, []).append(f"`{kind}`: {title}.")
    return {
        status: {
            "description": " ".join(said),
            "content": CONTENT,
            **({"headers": described("Retry-After")} if status == 503 else {}),
        }
        for status, said in by_status.items()
    }


def describe(app: FastAPI, *shapes: type[BaseModel]) -> None:
    """Put into the OpenAPI document what the framework does not know.

    These are shapes to which it only points, as `PROBLEM_RESPONSES` does; all types of problems;
    and the problems of every operation that takes a key, a body or a parameter.
    """
    generate = app.openapi
    finished: dict[str, Any] | None = None

    def finish() -> dict[str, Any]:
        nonlocal finished
        # The framework generates it once and keeps it.
        if (document := generate()) is not finished:
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for shape in shapes:
                schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= {**schema.pop("$defs", {}), shape.__name__: schema}
            types = [TYPE + kind for kind in TABLE]
            schemas[Problem.__name__]["properties"]["type"]["enum"] = types
            for item in document["paths"].values():
                for operation in item.values():
                    _declare(operation["responses"], refusals(*_to_be_expected(operation)))
            finished = document
        return document

    app.openapi = finish  # type: ignore[method-assign]


def _to_be_expected(operation: Mapping[str, Any]) -> Iterator[str]:
    """The problems that come with what an operation takes."""
    if "security" not in operation:
        return
    parameters = [each["name"] for each in operation.get("parameters", ())]
    yield from WITH_KEY
    for name in parameters:
        yield from WITH_PARAMETER.get(name, ())
    if "requestBody" in operation:
        yield from WITH_BODY
    elif parameters:
        yield "invalid-request"


def _declare(declared: dict[str, Any], more: Answers) -> None:
    """Add answers to those that an operation has, some of them with the same status."""
    for status, answer in more.items():
        known = declared.setdefault(str(status), answer)
        if known is not answer:
            known["description"] += f" {answer['description']}"


async def _domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ExpungeError)
    if error.kind not in TABLE:
        raise error
    return problem_response(error)


async def _no_database(_request: Request, error: Exception) -> JSONResponse:
    what = "cannot be reached"
    if isinstance(error, DBAPIError):
        if not is_away(error):
            raise error
        if refuses_writes(error):
            what = "refuses writes"
    return problem_response(
        DatabaseUnavailable(f"The database {what} at the moment. Try again shortly.")
    )


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = OF_STATUS.get(error.status_code, "invalid-request")
    headers = dict(error.headers or {})
    if "Allow" in headers:
        # The framework names the methods of the first route of that path, which may be one of many.
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return problem(kind, str(error.detail), headers=headers)


def _methods(request: Request) -> set[str]:
    """All that the resource asked for has."""
    return {
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    }


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        reason = next(item for item in found if item["type"] == "json_invalid")["ctx"]["error"]
        return problem("malformed-json", f"The body is not JSON: {reason}.")
    # What was sent is not repeated: it may be large, and it may be personal.
    violations = [
        {"pointer": "/" + "/".join(map(str, item["loc"])), "detail": violation(item)}
        for item in found[:20]
    ]
    first = violations[0]
    return problem(
        "invalid-request", f"{first['pointer']}: {first['detail']}.", violations=violations
    )
