"""Claiming work, and giving it up: the first transaction of a run, and its unhappy last ones."""

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.errors import ReviewOutdated
from models.records import (
    DeletionItem,
    ModelState,
    Outcome,
    RegisteredModel,
    RequestMode,
    RunState,
    Sample,
    Split,
    UnlearningRun,
)
from models.records.base import Json
from models.settling import settle_requests
from models.specifications import Enrolment, Policy
from workers.leases import give_back, require_lease, take_lease
from workers.queueing import Batch, next_batch, take_items
from workers.resources import Resources
from workers.settlement import end_run, release_items

# The failure after which an approval does not stand any more.
OUTDATED = ReviewOutdated("").kind


@dataclass(frozen=True)
class ForgetSample:
    """A sample that a run is to forget."""

    sample_id: str
    position: int
    label: int
    split: Split
    probe_rank: int


@dataclass(frozen=True)
class Approval:
    """A rung of another run's ladder that a person chose: α and λ by the name of the cohort."""

    by: str
    rung: int
    settings: Json


@dataclass(frozen=True)
class Run:
    """A claimed batch: what a worker knows of it, as of the claim."""

    id: uuid.UUID
    model_id: uuid.UUID
    epoch: int
    parent_version: int
    mode: RequestMode
    enrolment: Enrolment
    policy: Policy
    policy_version: int
    # Training and holdout samples per label, before anything was forgotten.
    trained: dict[int, int]
    holdout: dict[int, int]
    # Distinct samples of the batch that are not forgotten yet.
    samples: tuple[ForgetSample, ...]
    # If it carries out what a person has decided.
    approval: Approval | None


def claim(model_id: uuid.UUID, resources: Resources) -> Run | None:
    """Take the lease and a batch of items; None if there is no work, or somebody is at it.

    A run that a dead worker left behind is ended as `abandoned` first. Approved runs are carried
    out before anything new, each by itself. Items that wait for a review are taken along when new
    ones arrive: together they may pass. Dry runs come last, request by request.
    """
    settings = resources.settings
    with resources.database.transaction() as session:
        model = session.get(RegisteredModel, model_id)
        if model is None or model.state is not ModelState.ACTIVE:
            return None
        epoch = take_lease(session, model_id, resources.worker, settings.lease_s)
        if epoch is None:
            return None
        _end_abandoned(session, model_id, resources)
        session.refresh(model)
        assert model.head_version is not None
        assert model.label_counts is not None
        batch = next_batch(session, model)
        if batch is None:
            give_back(session, model_id, epoch)
            return None
        run = UnlearningRun(
            model_id=model_id,
            mode=batch.mode,
            carries_out=batch.approved.id if batch.approved else None,
            epoch=epoch,
            worker=resources.worker,
            attempt=1,
            item_count=0,
            parent_version=model.head_version,
        )
        session.add(run)
        session.flush()
        run.item_count, run.attempt = take_items(session, run.id, batch, settings.max_items_per_run)
        append(
            session,
            Event.RUN_STARTED,
            actor=f"worker:{resources.worker}",
            model_id=model_id,
            run_id=run.id,
            details={"items": run.item_count, "attempt": run.attempt, "epoch": epoch},
        )
        return Run(
            id=run.id,
            model_id=model_id,
            epoch=epoch,
            parent_version=model.head_version,
            mode=batch.mode,
            enrolment=Enrolment.model_validate(model.specification),
            policy=Policy.model_validate(model.policy),
            policy_version=model.policy_version,
            trained={int(k): v for k, v in model.label_counts["train"].items()},
            holdout={int(k): v for k, v in model.label_counts["holdout"].items()},
            samples=_samples(session, run.id),
            approval=_approval(batch),
        )


def give_up(
    run: Run, resources: Resources, failure: Json, timings: Json, *, hopeless: bool
) -> None:
    """End a run that failed: its items go back, or are settled after too many attempts.

    At once if it is `hopeless`: the same items would fail in the same way for ever.
    """
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        end_run(session, run.id, RunState.FAILED, failure=failure, timings=timings)
        release_items(
            session,
            run.id,
            max_attempts=1 if hopeless else resources.settings.max_attempts,
            retry_s=resources.settings.retry_s,
            reason=failure["detail"],
            outdated=failure["kind"] == OUTDATED,
        )
        settle_requests(session, run.model_id)
        append(
            session,
            Event.RUN_FAILED,
            actor=f"worker:{resources.worker}",
            model_id=run.model_id,
            run_id=run.id,
            details={"kind": failure["kind"]},
        )
        give_back(session, run.model_id, run.epoch)


def _end_abandoned(session: Session, model_id: uuid.UUID, resources: Resources) -> None:
    abandoned = session.scalars(
        select(UnlearningRun.id).where(
            UnlearningRun.model_id == model_id, UnlearningRun.state == RunState.RUNNING
        )
    ).all()
    for run_id in abandoned:
        detail = "Its worker stopped renewing the lease: it died, or lost the database."
        end_run(
            session,
            run_id,
            RunState.ABANDONED,
            failure={"kind": "worker-lost", "detail": detail},
        )
        release_items(
            session,
            run_id,
            max_attempts=resources.settings.max_attempts,
            # That a worker was lost says nothing about the items yet.
            retry_s=0,
            reason=detail,
        )
        append(
            session,
            Event.RUN_ABANDONED,
            actor=f"worker:{resources.worker}",
            model_id=model_id,
            run_id=run_id,
            details={"kind": "worker-lost"},
        )
    if abandoned:
        settle_requests(session, model_id)


def _approval(batch: Batch) -> Approval | None:
    approved = batch.approved
    if approved is None:
        return None
    assert approved.review is not None
    assert approved.verdict is not None
    rung = approved.review["rung"]
    return Approval(
        by=approved.review["by"], rung=rung, settings=approved.verdict["ladder"][rung]["settings"]
    )


def _samples(session: Session, run_id: uuid.UUID) -> tuple[ForgetSample, ...]:
    rows = session.execute(
        select(Sample.sample_id, Sample.position, Sample.label, Sample.split, Sample.probe_rank)
        .join(
            DeletionItem,
            (DeletionItem.model_id == Sample.model_id)
            & (DeletionItem.sample_id == Sample.sample_id),
        )
        .where(DeletionItem.run_id == run_id, Sample.forgotten_version.is_(None))
        .where(DeletionItem.outcome == Outcome.PENDING)
        .distinct()
        # The order of addition is part of the result's last bits: make it the data's own.
        .order_by(Sample.position, Sample.sample_id)
    ).all()
    return tuple(ForgetSample(*row) for row in rows)
