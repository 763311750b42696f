"""The last transaction of a run: a new head, or none.

Files are in the store before a transaction here begins, and every one of them first locks the lease
and compares the epoch: a stale worker changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.artifacts import Artifact
from models.audit.append import append
from models.audit.events import Event
from models.errors import LeaseLost
from models.records import Checkpoint, FisherSums, RegisteredModel, RunState, SumsKind
from models.records.base import Json
from workers.claims import Run
from workers.leases import give_back, require_lease
from workers.resources import Resources
from workers.settlement import (
    end_run,
    fail_items,
    mark_forgotten,
    settle_items,
    settle_requests,
)
from workers.subjects import KeptSums
from workers.unlearning.importances import Provenance
from workers.weighing import Weighed

# Asked for at the very end, so that the last phase is in them too.
Timings = Callable[[], Json]


@dataclass(frozen=True)
class Candidate:
    """A checkpoint that passed and lies in the store."""

    artifact: Artifact
    forgotten_count: int


def publish(
    run: Run,
    weighed: Weighed,
    provenance: Provenance,
    candidate: Candidate,
    verdict: Json,
    timings: Timings,
    resources: Resources,
) -> None:
    """Move the head, insert checkpoint and sums, settle the items, record it: all or nothing."""
    version = run.parent_version + 1
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        _move_head(session, run, version)
        _withdraw_earlier(session, run)
        session.add(
            Checkpoint(
                model_id=run.model_id,
                version=version,
                parent_version=run.parent_version,
                run_id=run.id,
                sha256=candidate.artifact.sha256,
                size=candidate.artifact.size,
                forgotten_count=candidate.forgotten_count,
            )
        )
        for label, kept in weighed.updated.items():
            _keep_sums(session, run, label, kept, provenance, version)
        forgotten = _settle(session, run, weighed, version)
        end_run(
            session, run.id, RunState.PUBLISHED, timings=timings(), verdict=verdict, version=version
        )
        _record(
            session,
            Event.CHECKPOINT_PUBLISHED,
            run,
            resources,
            {
                "version": version,
                "sha256": candidate.artifact.sha256,
                "forgotten": forgotten,
                "unreadable": len(weighed.unreadable),
                "weights_dampened": verdict["weights"]["dampened"],
            },
        )
        give_back(session, run.model_id, run.epoch)


def settle_without_checkpoint(
    run: Run, weighed: Weighed, timings: Timings, resources: Resources
) -> None:
    """End a run none of whose samples ever shaped the weights: the head stays where it is."""
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        forgotten = _settle(session, run, weighed, run.parent_version)
        end_run(session, run.id, RunState.NOTHING_TO_DO, timings=timings())
        _record(
            session,
            Event.RUN_FOUND_NOTHING_TO_DO,
            run,
            resources,
            {"forgotten": forgotten, "unreadable": len(weighed.unreadable)},
        )
        give_back(session, run.model_id, run.epoch)


def hold_for_review(run: Run, verdict: Json, timings: Timings, resources: Resources) -> None:
    """End a run whose candidate did not pass: nothing is published, the items stay pending."""
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        end_run(session, run.id, RunState.NEEDS_REVIEW, timings=timings(), verdict=verdict)
        _record(
            session,
            Event.RUN_NEEDS_REVIEW,
            run,
            resources,
            {"reasons": verdict["reasons"]},
        )
        give_back(session, run.model_id, run.epoch)


def _settle(session: Session, run: Run, weighed: Weighed, version: int) -> int:
    for sample_id, reason in weighed.unreadable.items():
        fail_items(session, run.id, [sample_id], reason)
    forgotten = [sample.sample_id for sample in (*weighed.trained, *weighed.holdout)]
    mark_forgotten(session, run.model_id, forgotten, version)
    count = settle_items(session, run.id)
    settle_requests(session, run.model_id)
    return count


def _move_head(session: Session, run: Run, version: int) -> None:
    moved = session.execute(
        update(RegisteredModel)
        .where(
            RegisteredModel.id == run.model_id,
            RegisteredModel.head_version == run.parent_version,
        )
        .values(head_version=version)
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
