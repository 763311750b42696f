"""Checkpoints: the lineage of a registered model, and the download."""

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.conditional import matches, quoted, represent, require_seen
from app.dependencies import (
    DatabaseDependency,
    Downloader,
    DownloadSlots,
    FilesDependency,
    SettingsDependency,
)
from app.downloads import Download
from app.problems import refusals
from app.schemas.answers import CONDITIONAL, ELSEWHERE, NOT_MODIFIED, Answers, described
from app.schemas.registered_models import CheckpointList, CheckpointView
from models.artifacts import Artifact
from models.errors import ArtifactDamaged, CheckpointWithdrawn, ModelNotActive, UnknownCheckpoint
from models.journal import open_journal, require_current
from models.records import ArtifactCheck, Checkpoint
from models.registry import find_model
from models.retirement import require_not_retired


def _require_current(
    model: str, _principal: Downloader, settings: SettingsDependency, database: DatabaseDependency
) -> None:
    """Nothing is served that carries samples which a version that is lost had forgotten."""
    with database.reading() as session:
        known = find_model(session, model)
        require_current(session, open_journal(settings.artifact_store_url), known.name)


router = APIRouter(
    prefix="/v1/models/{model}/checkpoints",
    tags=["checkpoints"],
    dependencies=[Depends(_require_current)],
    responses=refusals("model-behind"),
)

OCTETS = "application/octet-stream"
LATEST_ANSWERS: Answers = {307: ELSEWHERE, **refusals("model-not-active", "model-retired")}
_FILE_HEADERS = described("ETag", "Repr-Digest")
# Without bodies, as HEAD answers.
FILE_ANSWERS: Answers = {
    200: {"headers": _FILE_HEADERS},
    206: {
        "description": "The part that `Range` asks for, or several.",
        "headers": _FILE_HEADERS | described("Content-Range"),
    },
    304: NOT_MODIFIED | {"headers": _FILE_HEADERS},
    416: refusals("range-not-satisfiable")[416] | {"headers": described("Content-Range")},
    **refusals(
        "checkpoint-withdrawn",
        "model-retired",
        "precondition-failed",
        "artifact-damaged",
        "artifact-missing",
        "model-behind",
        "too-busy",
    ),
}

Version = Annotated[int, Path(ge=0, le=2**62, description="0 is the base, as it was trained.")]


@router.get("", response_model=CheckpointList, responses=CONDITIONAL)
def list_checkpoints(
    model: str, request: Request, _principal: Downloader, database: DatabaseDependency
) -> Response:
    """Every version there ever was, newest first, withdrawn ones included."""
    with database.reading() as session:
        identity = find_model(session, model).id
        found = session.scalars(
            select(Checkpoint)
            .where(Checkpoint.model_id == identity)
            .order_by(Checkpoint.version.desc())
        ).all()
    return represent(request, CheckpointList(checkpoints=[_view(row, model) for row in found]))


@router.get("/latest", status_code=307, response_class=RedirectResponse, responses=LATEST_ANSWERS)
def get_latest_checkpoint(
    model: str, _principal: Downloader, database: DatabaseDependency
) -> RedirectResponse:
    """Redirects to the head's version, which does not change."""
    return RedirectResponse(_path(model, _head(model, database)))


@router.get(
    "/latest/file", status_code=307, response_class=RedirectResponse, responses=LATEST_ANSWERS
)
@router.head(
    "/latest/file", status_code=307, response_class=RedirectResponse, responses=LATEST_ANSWERS
)
def get_latest_checkpoint_file(
    model: str, _principal: Downloader, database: DatabaseDependency
) -> RedirectResponse:
    """Redirects to the file of the head's version."""
    return RedirectResponse(_path(model, _head(model, database)) + "/file")


@router.get("/{version}", response_model=CheckpointView, responses=CONDITIONAL)
def get_checkpoint(
    model: str,
    version: Version,
    request: Request,
    _principal: Downloader,
    database: DatabaseDependency,
) -> Response:
    """One version: digest, size, what it descends from, whether it is still served."""
    with database.reading() as session:
        return represent(request, _view(_find(session, model, version), model))


@router.get(
    "/{version}/file",
    response_class=Download,
    responses={
        **FILE_ANSWERS,
        200: FILE_ANSWERS[200] | {"content": {OCTETS: {}}},
        206: FILE_ANSWERS[206] | {"content": {OCTETS: {}, "multipart/byteranges": {}}},
    },
)
@router.head("/{version}/file", response_class=Download, responses=FILE_ANSWERS)
async def get_checkpoint_file(
    model: str,
    version: Version,
    request: Request,
    principal: Downloader,
    settings: SettingsDependency,
    database: DatabaseDependency,
    files: FilesDependency,
    slots: DownloadSlots,
) -> Response:
    """The weights as a safetensors file; its ETag is their SHA-256. Ranges are honoured.

    410 once a later version has forgotten samples that this one still carries. A file that is
    damaged is not sent.
    """
    row = await run_in_threadpool(_servable, model, version, database)
    headers = _file_headers(row)
    require_seen(request, headers["ETag"])
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    path, found = await files.path(Artifact(row.sha256, row.size))
    return Download(
        path,
        stat_result=found,
        slots=slots,
        holder=principal.name,
        timeout_s=settings.download_timeout_s,
        media_type=OCTETS,
        filename=f"{model}-v{version}.safetensors",
        headers=headers,
    )


def _servable(model: str, version: int, database: DatabaseDependency) -> Checkpoint:
    with database.reading() as session:
        row = _find(session, model, version)
        require_not_retired(find_model(session, model))
        check = session.get(ArtifactCheck, row.sha256)
    if row.withdrawn_at is not None:
        raise CheckpointWithdrawn(
            f"Version {version} still carries samples that have been forgotten since. "
            f"Take {_path(model, 'latest')}/file instead."
        )
    if check is not None and check.fault is not None:
        raise ArtifactDamaged(
            f"Artifact {row.sha256} was found damaged when it was last checked. Restore it from a "
            "backup; it is not served until it has been checked again."
        )
    return row


def _file_headers(row: Checkpoint) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(row.sha256)).decode()
    return {
        "ETag": quoted(row.sha256),
        "Repr-Digest": f"sha-256=:{digest}:",
        # It may have to be withdrawn, so caches ask before they reuse it.
        "Cache-Control": "private, no-cache",
    }


def _head(model: str, database: DatabaseDependency) -> int:
    with database.reading() as session:
        found = find_model(session, model)
    require_not_retired(found)
    if found.head_version is None:
        raise ModelNotActive(f"The registered model {model!r} has no checkpoint yet.")
    return found.head_version


def _find(session: Session, model: str, version: int) -> Checkpoint:
    row = session.scalar(
        select(Checkpoint).where(
            Checkpoint.model_id == find_model(session, model).id, Checkpoint.version == version
        )
    )
    if row is None:
        raise UnknownCheckpoint(f"The registered model {model!r} has no version {version}.")
    return row


def _path(model: str, version: int | str) -> str:
    return f"/v1/models/{model}/checkpoints/{version}"


def _view(row: Checkpoint, model: str) -> CheckpointView:
    return CheckpointView(
        version=row.version,
        parent_version=row.parent_version,
        sha256=row.sha256,
        size=row.size,
        forgotten=row.forgotten_count - row.weakened_count,
        weakened=row.weakened_count,
        run=row.run_id,
        created_at=row.created_at,
        withdrawn_at=row.withdrawn_at,
        file=f"{_path(model, row.version)}/file",
    )
