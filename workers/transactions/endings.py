"""Endings of a run that was not cut short: what they share, and those that leave the head alone.

Every transaction here first locks the lease and compares the epoch: a stale worker changes nothing.
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from models.audit.events import Event
from models.errors import RunCancelled
from models.records import Outcome, RegisteredModel, RequestMode, RunReport, RunState
from models.records.base import Json
from models.settling import settle_requests
from workers.judging.verdicts import Verdict
from workers.leases import give_back, require_running
from workers.resources import Resources
from workers.runs import Run
from workers.transactions.breakdowns import record
from workers.transactions.settlement import (
    clear_suspicion,
    end_run,
    fail_items,
    mark_forgotten,
    mark_weakened,
    settle_items,
    settle_predicted,
)
from workers.weighing import Weighed

# Asked for at the very end, so that the last phase is in them too.
Timings = Callable[[], Json]


def require_wanted(session: Session, run: Run) -> None:
    """Lock lease and run; raise unless the run may end as it wants to.

    Raises `LeaseLost`, `RunEnded`, and `RunCancelled` if it was asked to stop, however late.
    """
    row = require_running(session, run.model_id, run.epoch, run.id)
    if row.cancel_requested_at is not None:
        raise RunCancelled("The run was asked to stop.")


def settle_without_checkpoint(
    run: Run, weighed: Weighed, timings: Timings, resources: Resources
) -> None:
    """End a run none of whose samples ever shaped the weights: the head stays where it is."""
    with resources.database.transaction() as session:
        require_wanted(session, run)
        if run.mode is RequestMode.DRY_RUN:
            settled = _settle_prediction(session, run, weighed)
        else:
            settled = settle(session, run, weighed, run.parent_version, short={})
        end_run(session, run.id, RunState.NOTHING_TO_DO, timings=timings())
        record(
            session,
            Event.RUN_FOUND_NOTHING_TO_DO,
            run,
            resources,
            {**settled, "unreadable": len(weighed.unreadable)},
        )
        give_back(session, run.model_id, run.epoch)


def hold_for_review(
    run: Run,
    weighed: Weighed,
    verdict: Verdict,
    report: Json,
    timings: Timings,
    resources: Resources,
) -> None:
    """End a run whose candidate did not pass: nothing is published, the items stay pending.

    But for those that no review can help, since their images cannot be read.
    """
    with resources.database.transaction() as session:
        require_wanted(session, run)
        _fail_unreadable(session, run, weighed)
        settle_requests(session, run.model_id)
        end_judged(session, run, RunState.NEEDS_REVIEW, verdict, report, timings)
        # Whatever broke earlier runs, it was none of them.
        clear_suspicion(session, run.id)
        if verdict.retraining_advised:
            session.get_one(RegisteredModel, run.model_id).retraining_advised = True
        record(
            session,
            Event.RUN_NEEDS_REVIEW,
            run,
            resources,
            {
                "outcome": verdict.document["outcome"],
                "reasons": verdict.document["reasons"],
                "unreadable": len(weighed.unreadable),
            },
        )
        give_back(session, run.model_id, run.epoch)


def predict(
    run: Run,
    weighed: Weighed,
    verdict: Verdict,
    report: Json,
    timings: Timings,
    resources: Resources,
) -> None:
    """End a dry run: its verdict is kept, and nothing else has happened."""
    with resources.database.transaction() as session:
        require_wanted(session, run)
        settled = _settle_prediction(session, run, weighed)
        end_judged(session, run, RunState.PREDICTED, verdict, report, timings)
        outcome = verdict.document["outcome"]
        record(session, Event.RUN_PREDICTED, run, resources, {"outcome": outcome, **settled})
        give_back(session, run.model_id, run.epoch)


def end_judged(
    session: Session,
    run: Run,
    state: RunState,
    verdict: Verdict,
    report: Json,
    timings: Timings,
    version: int | None = None,
) -> None:
    """Give a run that was judged its final state, and keep its verdict and report."""
    end_run(session, run.id, state, timings=timings(), verdict=verdict.document, version=version)
    session.add(RunReport(run_id=run.id, details=report))


def settle(
    session: Session, run: Run, weighed: Weighed, version: int, *, short: dict[int, bool]
) -> dict[str, int]:
    """Settle items and samples; how many items came to which outcome."""
    _fail_unreadable(session, run, weighed)
    forgotten = [sample.sample_id for sample in (*weighed.trained, *weighed.holdout)]
    mark_forgotten(session, run.model_id, forgotten, version)
    mark_weakened(session, run.model_id, short)
    settled = settle_items(session, run.id)
    settle_requests(session, run.model_id)
    return settled


def _settle_prediction(session: Session, run: Run, weighed: Weighed) -> dict[str, int]:
    _fail_unreadable(session, run, weighed)
    predicted = settle_predicted(session, run.id)
    settle_requests(session, run.model_id)
    return {Outcome.PREDICTED.value: predicted}


def _fail_unreadable(session: Session, run: Run, weighed: Weighed) -> None:
    for sample_id, reason in weighed.unreadable.items():
        fail_items(session, run.id, [sample_id], reason)
