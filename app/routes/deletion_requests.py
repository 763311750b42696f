"""Deletion requests: follow, cancel."""

import uuid

from fastapi import APIRouter, Request, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from app import cursors
from app.conditional import long_poll, represent
from app.dependencies import (
    Cursor,
    DatabaseDependency,
    Limit,
    Requester,
    SettingsDependency,
    Wait,
)
from app.problems import RETRY_AFTER_S, refusals
from app.routes.posting import PATH
from app.schemas.answers import CONDITIONAL, described
from app.schemas.deletion_requests import (
    CheckpointSummary,
    Counts,
    DeletionRequestView,
    ItemPage,
    ItemView,
    RequestStatus,
    RunSummary,
    counts_from,
)
from app.security import Principal
from app.withdrawals import withdraw
from models.errors import UnknownRequest
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RegisteredModel,
    RequestState,
    RunState,
    UnlearningRun,
)

router = APIRouter(prefix=PATH, tags=["deletion requests"])


@router.get("/{request_id}", response_model=DeletionRequestView, responses=CONDITIONAL)
async def get_deletion_request(
    request_id: uuid.UUID,
    request: Request,
    principal: Requester,
    settings: SettingsDependency,
    database: DatabaseDependency,
    wait: Wait = 0,
) -> Response:
    """How far a request is: status, items by outcome, its run, and the checkpoint that did it."""

    def look() -> DeletionRequestView:
        # A run may settle the request at any moment: its state must fit its items.
        with database.snapshot() as session:
            return _view(session, _find(session, request_id, principal))

    return await long_poll(request, look, min(wait, settings.max_wait_s))


@router.get("/{request_id}/items", response_model=ItemPage, responses=CONDITIONAL)
def list_deletion_items(
    request_id: uuid.UUID,
    request: Request,
    principal: Requester,
    database: DatabaseDependency,
    outcome: Outcome | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The sample IDs of a request with their outcomes, in the order in which they were posted."""
    query = select(DeletionItem).where(DeletionItem.request_id == request_id)
    if outcome is not None:
        query = query.where(DeletionItem.outcome == outcome)
    if cursor is not None:
        (after,) = cursors.decode(cursor, int)
        query = query.where(DeletionItem.position > after)
    with database.reading() as session:
        _find(session, request_id, principal)
        found = session.scalars(query.order_by(DeletionItem.position).limit(limit + 1)).all()
    page = found[:limit]
    return represent(
        request,
        ItemPage(
            items=[ItemView.model_validate(item, from_attributes=True) for item in page],
            next=cursors.encode([page[-1].position]) if len(found) > limit else None,
        ),
    )


@router.delete(
    "/{request_id}",
    response_model=DeletionRequestView,
    responses=refusals("request-not-pending")
    | {
        202: {
            "model": DeletionRequestView,
            "description": "A run is under way; it stops and withdraws the request.",
            "headers": described("Retry-After"),
        }
    },
)
def cancel_deletion_request(
    request_id: uuid.UUID, response: Response, principal: Requester, database: DatabaseDependency
) -> DeletionRequestView:
    """Withdraw a request of which nothing has been carried out.

    202 if a run is under way: it stops before it publishes, and withdraws the request.
    """
    with database.transaction() as session:
        row = _find(session, request_id, principal)
        if not withdraw(session, row, principal.name):
            response.status_code = 202
            response.headers["Retry-After"] = RETRY_AFTER_S
        session.flush()
        return _view(session, row)


def _find(session: Session, request_id: uuid.UUID, principal: Principal) -> DeletionRequest:
    row = session.get(DeletionRequest, request_id)
    if row is None or not (principal.is_admin or row.principal == principal.name):
        raise UnknownRequest(f"There is no deletion request {request_id}.")
    return row


def _view(session: Session, row: DeletionRequest) -> DeletionRequestView:
    name = session.scalars(
        select(RegisteredModel.name).where(RegisteredModel.id == row.model_id)
    ).one()
    run = _latest_run(session, row.id)
    counts = _count_outcomes(session, row.id)
    return DeletionRequestView(
        id=row.id,
        model=name,
        mode=row.mode,
        status=_status(row, run),
        reference=row.reference,
        deadline=row.deadline,
        overdue_since=row.overdue_since,
        created_at=row.created_at,
        settled_at=row.settled_at,
        cancel_requested_at=row.cancel_requested_at,
        counts=counts,
        duplicates=row.duplicate_count,
        run=run
        and RunSummary(id=run.id, state=run.state, phase=run.phase, href=f"/v1/runs/{run.id}"),
        checkpoint=_checkpoint(session, row, name),
    )


def _count_outcomes(session: Session, request_id: uuid.UUID) -> Counts:
    return counts_from(
        session.execute(
            select(DeletionItem.outcome, func.count())
            .where(DeletionItem.request_id == request_id)
            .group_by(DeletionItem.outcome)
        )
    )


def _status(row: DeletionRequest, run: UnlearningRun | None) -> RequestStatus:
    if row.state is RequestState.PENDING and run is not None:
        if run.state is RunState.RUNNING:
            return RequestStatus.RUNNING
        if run.state is RunState.NEEDS_REVIEW:
            return RequestStatus.NEEDS_REVIEW
    return RequestStatus(row.state.value)


def _latest_run(session: Session, request_id: uuid.UUID) -> UnlearningRun | None:
    """The newest run of what is pending of it, if there is one; else of any of its items."""
    holding = select(DeletionItem.run_id).where(
        DeletionItem.request_id == request_id, DeletionItem.run_id.is_not(None)
    )
    pending = holding.where(DeletionItem.outcome == Outcome.PENDING)
    return session.scalar(
        select(UnlearningRun)
        .where(UnlearningRun.id.in_(holding))
        .order_by(UnlearningRun.id.in_(pending).desc(), UnlearningRun.created_at.desc())
        .limit(1)
        # It may be megabytes, and whoever waits for a request looks again four times a second.
        .options(defer(UnlearningRun.verdict, raiseload=True))
    )


def _checkpoint(session: Session, row: DeletionRequest, name: str) -> CheckpointSummary | None:
    version = session.scalar(
        select(func.max(DeletionItem.version)).where(DeletionItem.request_id == row.id)
    )
    if version is None:
        return None
    return CheckpointSummary(version=version, href=f"/v1/models/{name}/checkpoints/{version}")
