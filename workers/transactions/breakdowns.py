"""Endings of a run that nobody wanted: it failed, was cancelled, or its worker has to stop."""

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from models.audit.events import Event
from models.errors import ExpungeError, ReviewOutdated, RunTimedOut
from models.records import Phase, RunState, UnlearningRun
from models.records.base import Json
from models.settling import settle_requests
from workers.failures import Failure
from workers.leases import give_back, require_running
from workers.resources import Resources
from workers.runs import Run
from workers.transactions.auditing import record
from workers.transactions.releases import Cause, release_items
from workers.transactions.settlement import end_run, fail_pending
from workers.transactions.withdrawing import withdraw_asked_for
from workers.unlearning.memory import is_out_of_memory

# What PyTorch, its libraries and the system say when the machine fails, not the work.
MACHINE = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "can't start new thread")


def cause_of(error: Exception, phase: Phase | None) -> Cause | None:
    """What a failure is put down to; None if the same work would fail in the same way for ever.

    Errors with a name of ours, those of disks, memory, devices, database and queue, and all before
    a sample was touched, say what is wrong around a run. Anything else may come from the very
    samples it was at. So may the time it takes to weigh them; what comes then takes its time for
    all that has been forgotten before.
    """
    if isinstance(error, ExpungeError):
        if error.lasting:
            return None
        weighs_without_end = isinstance(error, RunTimedOut) and phase is Phase.WEIGH
        return Cause.ITS_SAMPLES if weighs_without_end else Cause.ITS_SURROUNDINGS
    around = (
        phase is Phase.LOAD
        or isinstance(error, OSError | SQLAlchemyError | RedisError)
        or is_out_of_memory(error)
        or any(words in str(error) for words in MACHINE)
    )
    return Cause.ITS_SURROUNDINGS if around else Cause.ITS_SAMPLES


def give_up(
    run: Run, resources: Resources, failure: Failure, timings: Json, cause: Cause | None
) -> None:
    """End a run that failed, and give its items back.

    Without a `cause` that may pass it is hopeless: the same items would fail in the same way for
    ever, so they are settled as failed.
    """
    with resources.database.transaction() as session:
        row = require_running(session, run.model_id, run.epoch, run.id)
        end_run(session, row, RunState.FAILED, failure=failure, timings=timings)
        if cause is None:
            withdraw_asked_for(session, row)
            fail_pending(session, run.id, failure.detail)
        else:
            _release(session, row, cause, failure, resources)
        settle_requests(session, run.model_id)
        record(session, Event.RUN_FAILED, run, resources, {"kind": failure.kind})
        give_back(session, run.model_id, run.epoch)


def lay_down(run: Run, resources: Resources, failure: Failure, timings: Json) -> None:
    """End a run whose worker has to stop: it says nothing about its items."""
    with resources.database.transaction() as session:
        row = require_running(session, run.model_id, run.epoch, run.id)
        end_run(session, row, RunState.ABANDONED, failure=failure, timings=timings)
        _release(session, row, Cause.A_DECISION, failure, resources)
        record(session, Event.RUN_ABANDONED, run, resources, {"kind": failure.kind})
        give_back(session, run.model_id, run.epoch)


def cancel(run: Run, resources: Resources, timings: Json) -> None:
    """End a run that is to stop; withdraw the requests because of which it is, release the rest."""
    with resources.database.transaction() as session:
        row = require_running(session, run.model_id, run.epoch, run.id)
        end_run(session, row, RunState.CANCELLED, timings=timings)
        withdrawn = withdraw_asked_for(session, row)
        # If an admin has stopped it and nothing was withdrawn, it begins again, though not at once.
        cause = Cause.A_DECISION if withdrawn else Cause.A_DECISION_TO_WAIT
        _release(session, row, cause, None, resources)
        settle_requests(session, run.model_id)
        record(session, Event.RUN_CANCELLED, run, resources, {"withdrawn": withdrawn})
        give_back(session, run.model_id, run.epoch)


def _release(
    session: Session,
    row: UnlearningRun,
    cause: Cause,
    failure: Failure | None,
    resources: Resources,
) -> None:
    release_items(
        session,
        row,
        cause,
        failure.detail if failure else "",
        resources.settings,
        actor=resources.actor,
        # The failure after which an approval does not stand any more.
        outdated=failure is not None and failure.kind == ReviewOutdated.kind,
    )
