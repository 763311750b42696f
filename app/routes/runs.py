"""Runs: what admins poll."""

import uuid
from datetime import datetime

from fastapi import APIRouter, Request, Response
from sqlalchemy import Select, select, tuple_

from app import cursors
from app.conditional import long_poll, represent
from app.dependencies import (
    Admin,
    Cursor,
    DatabaseDependency,
    DoorbellDependency,
    Limit,
    SettingsDependency,
    Wait,
)
from app.reviews import approve, reject
from app.schemas.runs import (
    FailureView,
    NewApproval,
    NewRejection,
    ProgressView,
    RunPage,
    RunView,
)
from app.withdrawals import stop_run
from models.doorbell import Job
from models.errors import UnknownRun
from models.records import RegisteredModel, RunState, UnlearningRun
from models.registry import find_model

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.get("", response_model=RunPage)
def list_runs(
    request: Request,
    _principal: Admin,
    database: DatabaseDependency,
    model: str | None = None,
    state: RunState | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Runs, newest first. With `If-None-Match`, an unchanged page costs a 304."""
    query = _runs().order_by(UnlearningRun.created_at.desc(), UnlearningRun.id.desc())
    if state is not None:
        query = query.where(UnlearningRun.state == state)
    if cursor is not None:
        query = query.where(tuple_(UnlearningRun.created_at, UnlearningRun.id) < _before(cursor))
    with database.reading() as session:
        if model is not None:
            query = query.where(UnlearningRun.model_id == find_model(session, model).id)
        found = session.execute(query.limit(limit + 1)).all()
    page = found[:limit]
    following = None
    if len(found) > limit:
        last = page[-1][0]
        following = cursors.encode([last.created_at.isoformat(), str(last.id)])
    return represent(request, RunPage(runs=[_view(*row) for row in page], next=following))


@router.get("/{run_id}", response_model=RunView)
async def get_run(
    run_id: uuid.UUID,
    request: Request,
    _principal: Admin,
    settings: SettingsDependency,
    database: DatabaseDependency,
    wait: Wait = 0,
) -> Response:
    """One run: phase, progress, time left, and at the end its verdict."""

    def look() -> RunView:
        with database.reading() as session:
            found = session.execute(_runs().where(UnlearningRun.id == run_id)).one_or_none()
        if found is None:
            raise UnknownRun(f"There is no run {run_id}.")
        return _view(*found)

    return await long_poll(request, look, min(wait, settings.max_wait_s))


@router.post("/{run_id}/approve", status_code=202)
def approve_run(
    run_id: uuid.UUID,
    approval: NewApproval,
    principal: Admin,
    database: DatabaseDependency,
    doorbell: DoorbellDependency,
) -> RunView:
    """Publish a candidate that the gate held back, on your responsibility.

    Another run carries it out: its `carries_out` names this one. Samples that the network still
    gives away are marked `weakened`.
    """
    with database.transaction() as session:
        run, model = approve(session, run_id, approval.rung, principal.name)
        session.flush()
        view = _view(run, model.name)
    doorbell.ring(Job.UNLEARN, run.model_id)
    return view


@router.post("/{run_id}/reject")
def reject_run(
    run_id: uuid.UUID, rejection: NewRejection, principal: Admin, database: DatabaseDependency
) -> RunView:
    """Publish nothing: the run's items are settled as `rejected`.

    The samples stay in the network, and on the list of what to retrain it without.
    """
    with database.transaction() as session:
        run, model = reject(session, run_id, rejection.reason, principal.name)
        session.flush()
        return _view(run, model.name)


@router.post("/{run_id}/cancel", status_code=202)
def cancel_run(run_id: uuid.UUID, principal: Admin, database: DatabaseDependency) -> RunView:
    """Stop a run between two batches, before it publishes anything.

    Its items go back, and another run takes them after a pause; to stop for good, withdraw the
    requests.
    """
    with database.transaction() as session:
        run, model = stop_run(session, run_id, principal.name)
        session.flush()
        return _view(run, model.name)


def _before(cursor: str) -> tuple[datetime, uuid.UUID]:
    created_at, run_id = cursors.decode(cursor, str, str)
    try:
        return datetime.fromisoformat(str(created_at)), uuid.UUID(str(run_id))
    except ValueError as error:
        raise cursors.invalid() from error


def _runs() -> Select[UnlearningRun, str]:
    return select(UnlearningRun, RegisteredModel.name).join(
        RegisteredModel, RegisteredModel.id == UnlearningRun.model_id
    )


def _view(run: UnlearningRun, model: str) -> RunView:
    return RunView(
        id=run.id,
        model=model,
        mode=run.mode,
        state=run.state,
        phase=run.phase,
        attempt=run.attempt,
        items=run.item_count,
        worker=run.worker,
        parent_version=run.parent_version,
        version=run.version,
        progress=run.progress and ProgressView(**run.progress),
        timings=run.timings,
        verdict=run.verdict,
        review=run.review,
        carries_out=run.carries_out,
        failure=run.failure and FailureView(**run.failure),
        death=run.death,
        cancel_requested_at=run.cancel_requested_at,
        created_at=run.created_at,
        finished_at=run.finished_at,
    )
