"""Withdrawing a deletion request, stopping a run, and giving up an enrolment.

The run that a worker is at is not touched: it is asked to stop, and looks between two batches and
once more before it publishes. Whatever it was asked by then happens. Of an enrolment nothing is
visible until its end, so it is over at once, and its worker finds that out.
"""

import uuid

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.errors import ModelNotEnrolling, RequestNotPending, RunNotRunning
from models.fencing import lock_lease, take_away
from models.journal import REPLAYING
from models.records import (
    DeletionItem,
    DeletionRequest,
    ModelState,
    Outcome,
    RegisteredModel,
    RequestState,
    RunState,
    UnlearningRun,
)
from models.registry import find_model, find_run
from models.settling import cancel_request


def withdraw(session: Session, request: DeletionRequest, actor: str) -> bool:
    """Cancel a request of which nothing has been carried out; False if a run will do so.

    Raises `RequestNotPending`.
    """
    if request.principal == REPLAYING:
        raise RequestNotPending(
            "The request makes up for a publication that the database has lost; until then nothing "
            "of the registered model is served. Let it be carried out, or reject it in a review."
        )
    lock_lease(session, request.model_id)
    session.refresh(request, with_for_update=True)
    if request.state is not RequestState.PENDING:
        raise RequestNotPending(f"The request is {request.state.value}; it cannot be withdrawn.")
    runs = _holding_runs(session, request)
    if runs:
        if request.cancel_requested_at is None:
            request.cancel_requested_at = session.scalar(select(func.now()))
            request.cancel_requested_by = actor
        for run in runs:
            _ask_to_stop(session, run, actor, request.id)
        return False
    cancel_request(session, request, actor)
    return True


def stop_run(session: Session, run_id: uuid.UUID, actor: str) -> None:
    """Ask a run to stop. Raises `UnknownRun` and `RunNotRunning`."""
    run = find_run(session, run_id)
    lock_lease(session, run.model_id)
    session.refresh(run, with_for_update=True)
    if run.state is not RunState.RUNNING:
        raise RunNotRunning(f"The run is {run.state.value}; there is nothing to stop.")
    _ask_to_stop(session, run, actor, None)


def give_up_enrolment(session: Session, name: str, actor: str) -> RegisteredModel:
    """End an enrolment, which may be posted again. Raises `UnknownModel` and `ModelNotEnrolling`.

    Its worker loses the lease, so nothing of it is kept any more but notes of the sums so far.
    """
    model = find_model(session, name)
    take_away(session, model.id)
    session.refresh(model, with_for_update=True)
    if model.state is not ModelState.ENROLLING:
        raise ModelNotEnrolling(
            f"The registered model {name!r} is {model.state.value}; there is no enrolment to stop."
        )
    model.state = ModelState.ENROLMENT_FAILED
    model.failure = {
        "kind": "enrolment-cancelled",
        "detail": f"Cancelled by {actor!r}. Posted again as it was, it goes on where it has got "
        "to; otherwise it begins anew.",
    }
    model.progress = None
    append(session, Event.ENROLMENT_CANCELLED, actor=actor, model_id=model.id)
    return model


def _holding_runs(session: Session, request: DeletionRequest) -> list[UnlearningRun]:
    """The runs that work on it now; raise if some of its samples are forgotten already."""
    # There may be millions of items. They are not locked: whoever holds the lease settles them.
    # What was weakened when it was asked for is no work of this request's.
    done = exists().where(
        DeletionItem.request_id == request.id,
        DeletionItem.outcome.in_((Outcome.FORGOTTEN, Outcome.WEAKENED)),
        DeletionItem.settled_at > request.created_at,
    )
    if session.scalar(select(done)):
        raise RequestNotPending("Some of its samples are forgotten already.")
    holding = exists().where(
        DeletionItem.request_id == request.id, DeletionItem.run_id == UnlearningRun.id
    )
    return list(
        session.scalars(
            select(UnlearningRun)
            .where(UnlearningRun.state == RunState.RUNNING, holding)
            .with_for_update()
        )
    )


def _ask_to_stop(
    session: Session, run: UnlearningRun, actor: str, request_id: uuid.UUID | None
) -> None:
    if run.cancel_requested_at is None:
        run.cancel_requested_at = session.scalar(select(func.now()))
    append(
        session,
        Event.RUN_CANCEL_REQUESTED,
        actor=actor,
        model_id=run.model_id,
        request_id=request_id,
        run_id=run.id,
    )
