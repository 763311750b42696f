"""Claiming work, and giving it up: the first transaction of a run, and its unhappy last ones."""

import uuid
from dataclasses import dataclass

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.records import (
    DeletionItem,
    DeletionRequest,
    ModelState,
    Outcome,
    RegisteredModel,
    RunState,
    Sample,
    Split,
    UnlearningRun,
)
from models.records.base import Json
from models.records.deletion_item import rested
from models.specifications import Enrolment, Policy
from workers.leases import give_back, require_lease, take_lease
from workers.resources import Resources
from workers.settlement import end_run, release_items, settle_requests


@dataclass(frozen=True)
class ForgetSample:
    """A sample that a run is to forget."""

    sample_id: str
    position: int
    label: int
    split: Split


@dataclass(frozen=True)
class Run:
    """A claimed batch: what a worker knows of it, as of the claim."""

    id: uuid.UUID
    model_id: uuid.UUID
    epoch: int
    parent_version: int
    enrolment: Enrolment
    policy: Policy
    # Training samples per label, before anything was forgotten.
    trained: dict[int, int]
    # Distinct samples of the batch that are not forgotten yet.
    samples: tuple[ForgetSample, ...]


def claim(model_id: uuid.UUID, resources: Resources) -> Run | None:
    """Take the lease and every pending item; None if there is no work, or somebody is at it.

    A run that a dead worker left behind is ended as `abandoned` first. Items that wait for a
    review are taken along when new ones arrive: together they may pass.
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
        if not has_free_items(session, model_id):
            give_back(session, model_id, epoch)
            return None
        session.refresh(model)
        assert model.head_version is not None
        assert model.label_counts is not None
        run = UnlearningRun(
            model_id=model_id,
            epoch=epoch,
            worker=resources.worker,
            attempt=1,
            item_count=0,
            parent_version=model.head_version,
        )
        session.add(run)
        session.flush()
        _take_items(session, run, settings.max_items_per_run)
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
            enrolment=Enrolment.model_validate(model.specification),
            policy=Policy.model_validate(model.policy),
            trained={int(k): v for k, v in model.label_counts["train"].items()},
            samples=_samples(session, run.id),
        )


def has_free_items(session: Session, model_id: uuid.UUID) -> bool:
    """Whether a registered model has pending items that no run holds."""
    return bool(
        session.scalar(
            select(
                exists().where(
                    DeletionItem.model_id == model_id,
                    DeletionItem.outcome == Outcome.PENDING,
                    DeletionItem.run_id.is_(None),
                    rested(),
                )
            )
        )
    )


def give_up(run: Run, resources: Resources, failure: Json, timings: Json) -> None:
    """End a run that failed: its items go back, or are settled after too many attempts."""
    with resources.database.transaction() as session:
        require_lease(session, run.model_id, run.epoch)
        end_run(session, run.id, RunState.FAILED, failure=failure, timings=timings)
        release_items(
            session,
            run.id,
            max_attempts=resources.settings.max_attempts,
            retry_s=resources.settings.retry_s,
            reason=failure["detail"],
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


def _take_items(session: Session, run: UnlearningRun, limit: int) -> None:
    chosen = (
        select(DeletionItem.request_id, DeletionItem.position)
        .join(DeletionRequest, DeletionRequest.id == DeletionItem.request_id)
        .where(
            DeletionItem.model_id == run.model_id,
            DeletionItem.outcome == Outcome.PENDING,
            rested(),
        )
        .order_by(
            # Should there be more than one run can take, what waits for a review comes last.
            DeletionItem.run_id.is_not(None),
            DeletionRequest.created_at,
            DeletionItem.request_id,
            DeletionItem.position,
        )
        .limit(limit)
        .with_for_update(of=DeletionItem)
        .cte("chosen")
    )
    attempts = session.scalars(
        update(DeletionItem)
        .where(
            DeletionItem.request_id == chosen.c.request_id,
            DeletionItem.position == chosen.c.position,
        )
        .values(run_id=run.id)
        .returning(DeletionItem.attempts)
    ).all()
    run.item_count = len(attempts)
    run.attempt = max(attempts, default=0) + 1


def _samples(session: Session, run_id: uuid.UUID) -> tuple[ForgetSample, ...]:
    rows = session.execute(
        select(Sample.sample_id, Sample.position, Sample.label, Sample.split)
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
