"""Retiring a registered model: its weights and sums go for good, what is on record of it stays.

The base knows what was forgotten, and every version is computed from it; so as long as a network is
served it has to be kept. Once another network has taken its place it need not be: a steward removes
the files, as nothing needs them any more (`models/references.py`). Rows stay as a record.
"""

import uuid

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.errors import ModelEnrolling, ModelRetired
from models.fencing import take_away
from models.records import (
    Checkpoint,
    DeletionItem,
    DeletionRequest,
    ModelState,
    Outcome,
    RegisteredModel,
    RequestState,
    RunState,
    UnlearningRun,
)
from models.registry import find_model
from models.settling import cancel_request, settle_requests

# What is said of samples that were to be forgotten.
REASON = "The network was retired before it had forgotten the sample."


def retire(session: Session, name: str, actor: str) -> RegisteredModel:
    """Let go of everything that is computed with, and end what waits or is under way.

    Whoever works on it loses the lease, and can change nothing any more. One that is retired stays
    as it is. Raises `UnknownModel` and `ModelEnrolling`.
    """
    model = find_model(session, name)
    take_away(session, model.id)
    # Whoever posts a request holds on to the row, so none slips in beside this.
    session.refresh(model, with_for_update=True)
    if model.state is ModelState.RETIRED:
        return model
    if model.state is ModelState.ENROLLING:
        raise ModelEnrolling(
            f"The registered model {name!r} is being enrolled. Cancel that first: "
            f"POST /v1/models/{name}/cancel."
        )
    _stop_run(session, model.id, actor)
    _cancel_withdrawn(session, model.id)
    failed = _fail_pending(session, model.id)
    session.execute(
        update(Checkpoint)
        .where(Checkpoint.model_id == model.id, Checkpoint.withdrawn_at.is_(None))
        .values(withdrawn_at=func.now())
    )
    append(
        session,
        Event.MODEL_RETIRED,
        actor=actor,
        model_id=model.id,
        details={"version": model.head_version, "items_failed": failed},
    )
    model.retired_at = session.scalar(select(func.now()))
    model.state, model.head_version = ModelState.RETIRED, None
    session.flush()
    return model


def require_not_retired(model: RegisteredModel) -> None:
    """Raise `ModelRetired`."""
    if model.state is ModelState.RETIRED:
        raise gone(model.name)


def gone(name: str) -> ModelRetired:
    """What is said to who asks for something of a retired one."""
    return ModelRetired(
        f"The registered model {name!r} is retired: its weights and sums have been deleted for "
        "good. Use the network that has taken its place."
    )


def _stop_run(session: Session, model_id: uuid.UUID, actor: str) -> None:
    run = session.scalar(
        select(UnlearningRun)
        .where(UnlearningRun.model_id == model_id, UnlearningRun.state == RunState.RUNNING)
        .with_for_update()
    )
    if run is None:
        return
    run.state = RunState.CANCELLED
    run.finished_at = session.scalar(select(func.clock_timestamp()))
    run.progress = None
    append(session, Event.RUN_CANCELLED, actor=actor, model_id=model_id, run_id=run.id)


def _cancel_withdrawn(session: Session, model_id: uuid.UUID) -> None:
    """Requests that the run under way was to be stopped for."""
    withdrawn = session.scalars(
        select(DeletionRequest)
        .where(
            DeletionRequest.model_id == model_id,
            DeletionRequest.state == RequestState.PENDING,
            DeletionRequest.cancel_requested_at.is_not(None),
        )
        .with_for_update()
    )
    for request in withdrawn.all():
        assert request.cancel_requested_by is not None
        cancel_request(session, request, request.cancel_requested_by)


def _fail_pending(session: Session, model_id: uuid.UUID) -> int:
    """Settle what waits as failed; how many items that were.

    It has been asked for, so whoever trains the next network is told (`/exclusions`).
    """
    pending = (DeletionItem.model_id == model_id, DeletionItem.outcome == Outcome.PENDING)
    count = session.scalar(select(func.count()).select_from(DeletionItem).where(*pending))
    session.execute(
        update(DeletionItem)
        .where(*pending)
        .values(outcome=Outcome.FAILED, reason=REASON, run_id=None, settled_at=func.now())
    )
    settle_requests(session, model_id)
    return count or 0
