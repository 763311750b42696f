"""The last transaction of a run: a new head, or none.

Files are in the store before a transaction here begins, and every one of them first locks the lease
and compares the epoch: a stale worker changes nothing.
"""

from collections.abc import Callable

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.artifacts import Artifact
from models.audit.append import append
from models.audit.events import Event
from models.errors import LeaseLost
from models.records import (
    Checkpoint,
    FisherSums,
    Outcome,
    RegisteredModel,
    RequestMode,
    RunReport,
    RunState,
    SumsKind,
)
from models.records.base import Json
from models.settling import settle_requests
from workers.claims import Run
from workers.leases import give_back, require_lease
from workers.resources import Resources
from workers.settlement import (
    end_run,
    fail_items,
    mark_forgotten,
    mark_weakened,
    settle_items,
    settle_predicted,
)
from workers.subjects import KeptSums
from workers.unlearning.importances import Provenance
from workers.verdicts import Verdict
from workers.weighing import Weighed

# Asked for at the very end, so that the last phase is in them too.
Timings = Callable[[], Json]


def publish(
    run: Run,
    weighed: Weighed,
    provenance: Provenance,
    artifact: Artifact,
    verdict: Verdict,
    report: Json,
    timings: Timings,
    resources: Resources,
) -> None:
    """Move the head, insert checkpoint and sums, settle the items, record it: all or nothing."""
    version = run.parent_version + 1
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        _move_head(session, run, version, advised=verdict.budget_spent)
        _withdraw_earlier(session, run)
        session.add(
            Checkpoint(
                model_id=run.model_id,
                version=version,
                parent_version=run.parent_version,
                run_id=run.id,
                sha256=artifact.sha256,
                size=artifact.size,
                forgotten_count=sum(cohort["samples"] for cohort in verdict.document["cohorts"]),
            )
        )
        for label, kept in weighed.updated.items():
            _keep_sums(session, run, label, kept, provenance, version)
        settled = _settle(session, run, weighed, version, short=verdict.short)
        _end(session, run, verdict.state, verdict, report, timings, version)
        _record(
            session,
            Event.CHECKPOINT_PUBLISHED,
            run,
            resources,
            {
                "version": version,
                "sha256": artifact.sha256,
                "outcome": verdict.state.value,
                **settled,
                "unreadable": len(weighed.unreadable),
                "weights_dampened": verdict.document["weights"]["dampened"],
            },
        )
        give_back(session, run.model_id, run.epoch)


def settle_without_checkpoint(
    run: Run, weighed: Weighed, timings: Timings, resources: Resources
) -> None:
    """End a run none of whose samples ever shaped the weights: the head stays where it is."""
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        if run.mode is RequestMode.DRY_RUN:
            settled = _settle_prediction(session, run, weighed)
        else:
            settled = _settle(session, run, weighed, run.parent_version, short=set())
        end_run(session, run.id, RunState.NOTHING_TO_DO, timings=timings())
        _record(
            session,
            Event.RUN_FOUND_NOTHING_TO_DO,
            run,
            resources,
            {**settled, "unreadable": len(weighed.unreadable)},
        )
        give_back(session, run.model_id, run.epoch)


def hold_for_review(
    run: Run, verdict: Verdict, report: Json, timings: Timings, resources: Resources
) -> None:
    """End a run whose candidate did not pass: nothing is published, the items stay pending."""
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        _end(session, run, RunState.NEEDS_REVIEW, verdict, report, timings)
        if verdict.budget_spent:
            session.get_one(RegisteredModel, run.model_id).retraining_advised = True
        _record(
            session,
            Event.RUN_NEEDS_REVIEW,
            run,
            resources,
            {
                "outcome": verdict.document["outcome"],
                "reasons": verdict.document["reasons"],
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
        require_lease(session, run.model_id, run.epoch)
        settled = _settle_prediction(session, run, weighed)
        _end(session, run, RunState.PREDICTED, verdict, report, timings)
        outcome = verdict.document["outcome"]
        _record(session, Event.RUN_PREDICTED, run, resources, {"outcome": outcome, **settled})
        give_back(session, run.model_id, run.epoch)


def _end(
    session: Session,
    run: Run,
    state: RunState,
    verdict: Verdict,
    report: Json,
    timings: Timings,
    version: int | None = None,
) -> None:
    end_run(session, run.id, state, timings=timings(), verdict=verdict.document, version=version)
    session.add(RunReport(run_id=run.id, details=report))


def _settle(
    session: Session, run: Run, weighed: Weighed, version: int, *, short: set[int]
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


def _move_head(session: Session, run: Run, version: int, *, advised: bool) -> None:
    moved = session.execute(
        update(RegisteredModel)
        .where(
            RegisteredModel.id == run.model_id,
            RegisteredModel.head_version == run.parent_version,
        )
        .values(head_version=version, retraining_advised=advised)
        .returning(RegisteredModel.id)
    )
    if moved.scalar() is None:
        raise LeaseLost("The head has moved since this run began: another worker has published.")


def _withdraw_earlier(session: Session, run: Run) -> None:
    session.execute(
        update(Checkpoint)
        .where(Checkpoint.model_id == run.model_id, Checkpoint.withdrawn_at.is_(None))
        .values(withdrawn_at=func.now())
    )


def _keep_sums(
    session: Session,
    run: Run,
    label: int,
    kept: KeptSums,
    provenance: Provenance,
    version: int,
) -> None:
    values = {
        "version": version,
        "sample_count": kept.count,
        "provenance": vars(provenance),
        "sha256": kept.artifact.sha256,
        "size": kept.artifact.size,
    }
    session.execute(
        insert(FisherSums)
        .values(model_id=run.model_id, kind=SumsKind.FORGET, label=label, **values)
        .on_conflict_do_update(index_elements=["model_id", "kind", "label"], set_=values)
    )


def _record(session: Session, event: Event, run: Run, resources: Resources, details: Json) -> None:
    append(
        session,
        event,
        actor=f"worker:{resources.worker}",
        model_id=run.model_id,
        run_id=run.id,
        details=details,
    )
