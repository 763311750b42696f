"""Reports: what a run has found, for programs and for people."""

import uuid
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from app.dependencies import Admin, DatabaseDependency
from app.problems import refusals
from app.reports.document import find_report
from app.reports.page import render
from models.documents import Report

router = APIRouter(prefix="/v1/runs/{run_id}/report", tags=["runs"])


class Format(StrEnum):
    """How a report is written."""

    JSON = "json"
    HTML = "html"


@router.get(
    "",
    response_model=Report,
    responses={
        200: {"content": {"text/html": {"schema": {"type": "string"}}}},
        **refusals("unknown-report"),
    },
)
def get_report(
    run_id: uuid.UUID,
    request: Request,
    _principal: Admin,
    database: DatabaseDependency,
    as_: Annotated[
        Format | None, Query(alias="format", description="Without it, the Accept header decides.")
    ] = None,
) -> Response:
    """The figures behind a verdict, as JSON, or as one self-contained page with plots."""
    with database.reading() as session:
        report = find_report(session, run_id)
    wanted = as_ or (Format.HTML if _prefers_html(request) else Format.JSON)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
    if wanted is Format.HTML:
        return HTMLResponse(render(report), headers=headers)
    return JSONResponse(report.as_json(), headers=headers)


def _prefers_html(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return _quality(accept, "text/html") > _quality(accept, "application/json")


def _quality(accept: str, kind: str) -> float:
    """How much an `Accept` header wants a kind of answer, from 0 to 1 (RFC 9110, 12.5.1)."""
    wanted: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        weight = dict(each.partition("=")[::2] for each in parameters).get("q", "1")
        with suppress(ValueError):
            wanted[name] = float(weight)
    group = kind.partition("/")[0] + "/*"
    return next((wanted[name] for name in (kind, group, "*/*") if name in wanted), 0.0)
