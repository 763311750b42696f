"""Reviews: a person decides on a run whose candidates the gate held back.

Nothing is computed here. An approval is put on record; a worker then makes another run of the same
items, with the settings of the rung that was chosen.
"""

import uuid

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.errors import RungGivesBack, RunNotHeld, UnknownRung
from models.fencing import lock_lease
from models.records import (
    DeletionItem,
    Outcome,
    RegisteredModel,
    RunState,
    UnlearningRun,
)
from models.records.deletion_item import pending_of
from models.registry import find_run
from models.settling import settle_requests


def approve(session: Session, run_id: uuid.UUID, rung: int, actor: str) -> UnlearningRun:
    """Choose a candidate of the ladder; the run, which another one will carry out.

    Raises `UnknownRun`, `UnknownRung`, `RungGivesBack`, and `RunNotHeld` if there is nothing (any
    more) to decide.
    """
    run, model = _held(session, run_id)
    assert run.verdict is not None
    if run.verdict.parted:
        raise RunNotHeld(
            f"{run.verdict.parted} items of it are tried without the others, and these are judged "
            "again after that. Look at the latest run of this registered model."
        )
    count = len(run.verdict.ladder)
    if rung >= count:
        raise UnknownRung(f"The ladder of this run has {count} candidates, from 0 to {count - 1}.")
    given_back = run.verdict.ladder[rung].given_back
    if given_back:
        raise RungGivesBack(
            f"Candidate {rung} knows samples again that version {model.head_version} has "
            f"forgotten: {', '.join(given_back)}. Choose another one, or reject the run."
        )
    run.state = RunState.APPROVED
    run.review = {"by": actor, "rung": rung}
    _record(session, Event.RUN_APPROVED, run, actor, {"rung": rung})
    return run


def reject(session: Session, run_id: uuid.UUID, reason: str, actor: str) -> None:
    """Settle the run's items as rejected.

    Raises `UnknownRun`, and `RunNotHeld` if there is nothing (any more) to decide.
    """
    run, _ = _held(session, run_id)
    run.state = RunState.REJECTED
    run.review = {"by": actor, "reason": reason}
    session.execute(
        update(DeletionItem)
        .where(pending_of(run_id))
        .values(
            outcome=Outcome.REJECTED,
            reason=f"Rejected in review: {reason}",
            settled_at=func.now(),
        )
    )
    settle_requests(session, run.model_id)
    _record(session, Event.RUN_REJECTED, run, actor, {})


def _held(session: Session, run_id: uuid.UUID) -> tuple[UnlearningRun, RegisteredModel]:
    """The run, locked, and its registered model, if it waits for a decision and holds its items."""
    run = find_run(session, run_id)
    lock_lease(session, run.model_id)
    session.refresh(run, with_for_update=True)
    model = session.get_one(RegisteredModel, run.model_id)
    if run.state is not RunState.NEEDS_REVIEW:
        raise RunNotHeld(f"The run is {run.state.value}; it does not wait for a review.")
    holds = session.scalar(select(func.count()).where(pending_of(run_id)))
    if not holds:
        raise RunNotHeld(
            "Nothing waits in it any more: its items were taken up by another run, or withdrawn. "
            "Look at the latest run of this registered model."
        )
    if run.parent_version != model.head_version:
        raise RunNotHeld(
            "The head has moved since it was judged, so its items are about to be judged again. "
            "Look at the latest run of this registered model."
        )
    return run, model


def _record(
    session: Session, event: Event, run: UnlearningRun, actor: str, details: dict[str, int]
) -> None:
    append(session, event, actor=actor, model_id=run.model_id, run_id=run.id, details=details)
