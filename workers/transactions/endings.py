"""Endings of a run that was not cut short: what they share, and those that leave the head alone.

Every transaction here first locks the lease and compares the epoch: a stale worker changes nothing.
"""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.orm import Session

from models.audit.events import Event
from models.errors import RunCancelled
from models.records import Outcome, RequestMode, RunReport, RunState, UnlearningRun
from models.records.base import Json
from models.settling import settle_requests
from workers.judging.verdicts import Judged
from workers.leases import give_back, require_running
from workers.resources import Resources
from workers.runs import Run
from workers.transactions.auditing import record
from workers.transactions.parting import part
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


def require_wanted(session: Session, run: Run) -> UnlearningRun:
    """Lock lease and run; the run's row, if it may end as it wants to.

    Raises `LeaseLost`, `RunEnded`, and `RunCancelled` if it was asked to stop, however late.
    """
    row = require_running(session, run.model_id, run.epoch, run.id)
    if row.cancel_requested_at is not None:
        raise RunCancelled("The run was asked to stop.")
    return row


def settle_without_checkpoint(
    run: Run, weighed: Weighed, timings: Timings, resources: Resources
) -> None:
    """End a run none of whose samples ever shaped the weights: the head stays where it is."""
    with resources.database.transaction() as session:
        row = require_wanted(session, run)
        if run.mode is RequestMode.DRY_RUN:
            settled = _settle_prediction(session, run, weighed)
        else:
            settled = settle(session, run, weighed, run.parent_version, weakened={})
        end_run(session, row, RunState.NOTHING_TO_DO, timings=timings())
        record(
            session,
            Event.RUN_FOUND_NOTHING_TO_DO,
            run,
            resources,
            {**settled, "unreadable": len(weighed.unusable)},
        )
        give_back(session, run.model_id, run.epoch)


def hold_for_review(
    run: Run,
    weighed: Weighed,
    judged: Judged,
    timings: Timings,
    resources: Resources,
) -> None:
    """End a run whose candidate did not pass: nothing is published, the items stay pending.

    But for those that no review can help, since their images cannot be read; and requests that do
    not keep it from passing are tried without the others.
    """
    with resources.database.transaction() as session:
        row = require_wanted(session, run)
        _fail_unusable(session, run, weighed)
        settle_requests(session, run.model_id)
        # Whatever broke earlier runs, it was none of them.
        clear_suspicion(session, run.id)
        verdict = part(session, run, judged.verdict)
        row.item_count -= verdict.parted
        end_judged(session, row, RunState.NEEDS_REVIEW, replace(judged, verdict=verdict), timings)
        record(
            session,
            Event.RUN_NEEDS_REVIEW,
            run,
            resources,
            {
                "outcome": judged.verdict.outcome.value,
                "reasons": judged.verdict.reasons,
                "unreadable": len(weighed.unusable),
                "tried_without": verdict.parted,
            },
        )
        give_back(session, run.model_id, run.epoch)


def predict(
    run: Run,
    weighed: Weighed,
    judged: Judged,
    timings: Timings,
    resources: Resources,
) -> None:
    """End a dry run: its verdict is kept, and nothing else has happened."""
    with resources.database.transaction() as session:
        row = require_wanted(session, run)
        settled = _settle_prediction(session, run, weighed)
        end_judged(session, row, RunState.PREDICTED, judged, timings)
        outcome = judged.verdict.outcome.value
        record(session, Event.RUN_PREDICTED, run, resources, {"outcome": outcome, **settled})
        give_back(session, run.model_id, run.epoch)


def end_judged(
    session: Session,
    run: UnlearningRun,
    state: RunState,
    judged: Judged,
    timings: Timings,
    version: int | None = None,
) -> None:
    """Give a run that was judged its final state, and keep its verdict and details."""
    end_run(session, run, state, timings=timings(), verdict=judged.verdict, version=version)
    session.add(RunReport(run_id=run.id, details=judged.details))


def settle(
    session: Session, run: Run, weighed: Weighed, version: int, *, weakened: dict[int, bool]
) -> dict[str, int]:
    """Settle items and samples; how many items came to which outcome, and what changed besides."""
    _fail_unusable(session, run, weighed)
    forgotten = [sample.sample_id for sample in (*weighed.trained, *weighed.holdout)]
    mark_forgotten(session, run.model_id, forgotten, version)
    changed = mark_weakened(session, run.model_id, weakened)
    settled = settle_items(session, run.id)
    settle_requests(session, run.model_id)
    return {**settled, **changed}


def _settle_prediction(session: Session, run: Run, weighed: Weighed) -> dict[str, int]:
    _fail_unusable(session, run, weighed)
    predicted = settle_predicted(session, run.id)
    settle_requests(session, run.model_id)
    return {Outcome.PREDICTED.value: predicted}


def _fail_unusable(session: Session, run: Run, weighed: Weighed) -> None:
    for sample_id, reason in weighed.unusable.items():
        fail_items(session, run.id, [sample_id], reason)
