"""Endings of a run that nobody wanted: it failed, was cancelled, or its worker has to stop."""

from redis.exceptions import RedisError
from sqlalchemy import exists, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.errors import ExpungeError, ReviewOutdated, RunTimedOut
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RequestState,
    RunState,
    UnlearningRun,
)
from models.records.base import Json
from models.settling import settle_requests
from workers.leases import give_back, require_running
from workers.releases import Cause, release_items
from workers.resources import Resources
from workers.runs import Run
from workers.settlement import end_run, fail_pending
from workers.unlearning.memory import is_out_of_memory

# The failure after which an approval does not stand any more.
OUTDATED = ReviewOutdated("").kind


def cause_of(error: Exception) -> Cause | None:
    """What a failure is put down to; None if the same work would fail in the same way for ever.

    Errors with a name of ours, and those of disks, memory, database and queue, say what is wrong
    around a run. Anything else may come from the very samples it was at.
    """
    if isinstance(error, ExpungeError):
        if error.lasting:
            return None
        return Cause.ITS_SAMPLES if isinstance(error, RunTimedOut) else Cause.ITS_SURROUNDINGS
    around = isinstance(error, OSError | SQLAlchemyError | RedisError) or is_out_of_memory(error)
    return Cause.ITS_SURROUNDINGS if around else Cause.ITS_SAMPLES


def give_up(
    run: Run, resources: Resources, failure: Json, timings: Json, cause: Cause | None
) -> None:
    """End a run that failed, and give its items back.

    Without a `cause` that may pass it is hopeless: the same items would fail in the same way for
    ever, so they are settled as failed.
    """
    with resources.database.transaction() as session:
        row = require_running(session, run.model_id, run.epoch, run.id)
        end_run(session, run.id, RunState.FAILED, failure=failure, timings=timings)
        if cause is None:
            fail_pending(session, run.id, failure["detail"])
        else:
            _release(session, row, cause, failure, resources)
        settle_requests(session, run.model_id)
        record(session, Event.RUN_FAILED, run, resources, {"kind": failure["kind"]})
        give_back(session, run.model_id, run.epoch)


def lay_down(run: Run, resources: Resources, failure: Json, timings: Json) -> None:
    """End a run whose worker has to stop: it says nothing about its items."""
    with resources.database.transaction() as session:
        row = require_running(session, run.model_id, run.epoch, run.id)
        end_run(session, run.id, RunState.ABANDONED, failure=failure, timings=timings)
        _release(session, row, Cause.A_DECISION, failure, resources)
        record(session, Event.RUN_ABANDONED, run, resources, {"kind": failure["kind"]})
        give_back(session, run.model_id, run.epoch)


def cancel(run: Run, resources: Resources, timings: Json) -> None:
    """End a run that is to stop; withdraw the requests because of which it is, release the rest."""
    with resources.database.transaction() as session:
        row = require_running(session, run.model_id, run.epoch, run.id)
        end_run(session, run.id, RunState.CANCELLED, timings=timings)
        withdrawn = _withdraw(session, row)
        # If an admin has stopped it and nothing was withdrawn, it begins again, though not at once.
        cause = Cause.A_DECISION if withdrawn else Cause.A_DECISION_TO_WAIT
        _release(session, row, cause, {"kind": "", "detail": ""}, resources)
        settle_requests(session, run.model_id)
        record(session, Event.RUN_CANCELLED, run, resources, {"withdrawn": withdrawn})
        give_back(session, run.model_id, run.epoch)


def _withdraw(session: Session, run: UnlearningRun) -> int:
    """Cancel the requests of the run that were withdrawn meanwhile; return how many."""
    asked = select(DeletionRequest.id).where(
        DeletionRequest.model_id == run.model_id,
        DeletionRequest.state == RequestState.PENDING,
        DeletionRequest.cancel_requested_at.is_not(None),
        exists().where(
            DeletionItem.request_id == DeletionRequest.id, DeletionItem.run_id == run.id
        ),
    )
    requests = session.scalars(
        select(DeletionRequest).where(DeletionRequest.id.in_(asked)).with_for_update()
    ).all()
    session.execute(
        update(DeletionItem)
        .where(DeletionItem.request_id.in_([request.id for request in requests]))
        .where(DeletionItem.outcome == Outcome.PENDING)
        .values(outcome=Outcome.CANCELLED, run_id=None, settled_at=func.now())
    )
    for request in requests:
        request.state = RequestState.CANCELLED
        request.settled_at = session.scalar(select(func.now()))
        append(
            session,
            Event.REQUEST_CANCELLED,
            actor=request.principal,
            model_id=run.model_id,
            request_id=request.id,
            run_id=run.id,
        )
    return len(requests)


def _release(
    session: Session, row: UnlearningRun, cause: Cause, failure: Json, resources: Resources
) -> None:
    release_items(
        session,
        row,
        cause,
        failure["detail"],
        resources.settings,
        actor=f"worker:{resources.worker}",
        outdated=failure["kind"] == OUTDATED,
    )


def record(session: Session, event: Event, run: Run, resources: Resources, details: Json) -> None:
    """Put on the audit log what a worker has done with a run."""
    append(
        session,
        event,
        actor=f"worker:{resources.worker}",
        model_id=run.model_id,
        run_id=run.id,
        details=details,
    )
