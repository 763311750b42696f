"""Runs: what admins poll."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import BigInteger, Select, Text, cast, column, exists, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.orm import Session, defer

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
from app.problems import refusals
from app.reviews import approve, reject
from app.schemas.answers import CONDITIONAL
from app.schemas.runs import (
    MOST_REASONS,
    FailureView,
    NewApproval,
    NewRejection,
    ProgressView,
    RunEntry,
    RunPage,
    RunView,
    VerdictSummary,
)
from app.strict import StrictRoute
from app.withdrawals import stop_run
from models.documents import Decision
from models.doorbell import Job
from models.errors import UnknownRun
from models.records import RegisteredModel, RunState, UnlearningRun
from models.records.deletion_item import pending_of
from models.registry import find_model

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)

NEWEST_FIRST = (UnlearningRun.created_at.desc(), UnlearningRun.id.desc())
# What a list shows of a verdict. Taken together: a verdict may be a megabyte, which PostgreSQL
# would expand for every operator anew.
SHOWN = (
    func.jsonb_to_record(UnlearningRun.verdict)
    .table_valued(column("outcome", Text), column("reasons", JSONB), column("rung", BigInteger))
    .render_derived(name="shown", with_types=True)
)
FIRST_REASONS = func.jsonb_path_query_array(
    SHOWN.c.reasons, cast(f"$[0 to {MOST_REASONS - 1}]", JSONPATH)
)


@router.get("", response_model=RunPage, responses=CONDITIONAL)
def list_runs(
    request: Request,
    _principal: Admin,
    database: DatabaseDependency,
    model: str | None = None,
    state: RunState | None = None,
    waiting: Annotated[
        bool | None,
        Query(description="Whether items still wait in it: of what is held, if it can be decided."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Runs, newest first, with their verdicts in short. An unchanged page costs a 304.

    A verdict holds figures of every cohort, candidate and layer: ask the run itself for them.
    """
    chosen = select(UnlearningRun.id).order_by(*NEWEST_FIRST).limit(limit + 1)
    if state is not None:
        chosen = chosen.where(UnlearningRun.state == state)
    if waiting is not None:
        some = exists().where(pending_of(UnlearningRun.id))
        chosen = chosen.where(some if waiting else ~some)
    if cursor is not None:
        chosen = chosen.where(tuple_(UnlearningRun.created_at, UnlearningRun.id) < _before(cursor))
    with database.reading() as session:
        if model is not None:
            chosen = chosen.where(UnlearningRun.model_id == find_model(session, model).id)
        found = session.execute(_in_short(chosen)).all()
    page = found[:limit]
    following = None
    if len(found) > limit:
        last = page[-1][0]
        following = cursors.encode([last.created_at.isoformat(), str(last.id)])
    return represent(request, RunPage(runs=[_entry(*row) for row in page], next=following))


@router.get("/{run_id}", response_model=RunView, responses=CONDITIONAL)
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


@router.post(
    "/{run_id}/approve",
    status_code=202,
    responses=refusals("run-not-held", "unknown-rung", "rung-gives-back"),
)
def approve_run(
    run_id: uuid.UUID,
    approval: NewApproval,
    principal: Admin,
    database: DatabaseDependency,
    doorbell: DoorbellDependency,
) -> RunView:
    """Publish a candidate that the gate held back, on your responsibility.

    It must not give back what the published version has forgotten. Another run carries it out: its
    `carries_out` names this one. Samples that the network still gives away are marked `weakened`.
    """
    with database.transaction() as session:
        run = approve(session, run_id, approval.rung, principal.name)
        view = _present(session, run_id)
    doorbell.ring(Job.UNLEARN, run.model_id)
    return view


@router.post("/{run_id}/reject", responses=refusals("run-not-held"))
def reject_run(
    run_id: uuid.UUID, rejection: NewRejection, principal: Admin, database: DatabaseDependency
) -> RunView:
    """Publish nothing: the run's items are settled as `rejected`.

    The samples stay in the network, and on the list of what to retrain it without.
    """
    with database.transaction() as session:
        reject(session, run_id, rejection.reason, principal.name)
        return _present(session, run_id)


@router.post("/{run_id}/cancel", status_code=202, responses=refusals("run-not-running"))
def cancel_run(run_id: uuid.UUID, principal: Admin, database: DatabaseDependency) -> RunView:
    """Stop a run between two batches, before it publishes anything.

    Its items go back, and another run takes them after a pause; to stop for good, withdraw the
    requests.
    """
    with database.transaction() as session:
        stop_run(session, run_id, principal.name)
        return _present(session, run_id)


def _before(cursor: str) -> tuple[datetime, uuid.UUID]:
    created_at, run_id = cursors.decode(cursor, str, str)
    try:
        return datetime.fromisoformat(str(created_at)), uuid.UUID(str(run_id))
    except ValueError as error:
        raise cursors.invalid() from error


def _runs() -> Select[UnlearningRun, str, int]:
    waiting = select(func.count()).where(pending_of(UnlearningRun.id)).scalar_subquery()
    return select(UnlearningRun, RegisteredModel.name, waiting).join(
        RegisteredModel, RegisteredModel.id == UnlearningRun.model_id
    )


def _in_short(chosen: Select[uuid.UUID]) -> Select[UnlearningRun, str, int, str, list[str], int]:
    """The runs chosen, without their verdicts but for what a list shows.

    Chosen beforehand: of others no verdict is looked at.
    """
    page = chosen.subquery()
    return (
        _runs()
        .add_columns(SHOWN.c.outcome, FIRST_REASONS, SHOWN.c.rung)
        .join(page, page.c.id == UnlearningRun.id)
        .join(SHOWN, true(), isouter=True)
        .order_by(*NEWEST_FIRST)
        .options(defer(UnlearningRun.verdict, raiseload=True))
    )


def _entry(
    run: UnlearningRun,
    model: str,
    waiting: int,
    outcome: str | None,
    reasons: list[str],
    rung: int | None,
) -> RunEntry:
    verdict = None
    if outcome is not None:
        verdict = VerdictSummary(outcome=Decision(outcome), reasons=reasons, rung=rung)
    return RunEntry(**_fields(run, model, waiting), verdict=verdict)


def _view(run: UnlearningRun, model: str, waiting: int) -> RunView:
    return RunView(**_fields(run, model, waiting), verdict=run.verdict)


def _present(session: Session, run_id: uuid.UUID) -> RunView:
    """A run that is there, as the transaction sees it."""
    session.flush()
    return _view(*session.execute(_runs().where(UnlearningRun.id == run_id)).one())


def _fields(run: UnlearningRun, model: str, waiting: int) -> dict[str, Any]:
    return {
        "id": run.id,
        "model": model,
        "mode": run.mode,
        "state": run.state,
        "phase": run.phase,
        "attempt": run.attempt,
        "items": run.item_count,
        "waiting": waiting,
        "worker": run.worker,
        "parent_version": run.parent_version,
        "version": run.version,
        "progress": run.progress and ProgressView(**run.progress),
        "timings": run.timings,
        "review": run.review,
        "carries_out": run.carries_out,
        "failure": run.failure and FailureView(**run.failure),
        "death": run.death,
        "cancel_requested_at": run.cancel_requested_at,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
    }
