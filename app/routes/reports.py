"""Reports: what a run has found, for programs and for people."""

import uuid
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
    if wanted is Format.HTML:
        return HTMLResponse(render(report))
    return JSONResponse(report.as_json())


def _prefers_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
