"""Claiming work: the first transaction of a run."""

import signal
import uuid
from itertools import takewhile

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.failpoints import Failpoint, failpoint
from models.records import (
    DeletionItem,
    ModelState,
    RegisteredModel,
    RunState,
    Sample,
    Split,
    UnlearningRun,
)
from models.records.deletion_item import pending_of
from models.specifications import Enrolment, Policy
from workers.leases import give_back, renew, take_lease
from workers.resources import Resources
from workers.runs import Approval, ForgetSample, Run
from workers.transactions.fitting import leave_out_too_much
from workers.transactions.queueing import Batch, next_batch, take_items
from workers.transactions.recovery import end_lost_runs

# A run after so many that were killed does with a sixteenth of the memory.
MOST_HALVINGS = 4


def claim(model_id: uuid.UUID, resources: Resources) -> Run | None:
    """Take the lease and a batch of items; None if there is no work, or somebody is at it.

    A run that a dead worker left behind is ended as `abandoned` first. Approved runs are carried
    out before anything new, each by itself. New items that do not pass by themselves are tried
    together with those that wait for a review. Dry runs are carried out request by request.
    """
    settings = resources.settings
    with resources.database.transaction() as session:
        model = session.get(RegisteredModel, model_id)
        if model is None or model.state is not ModelState.ACTIVE:
            return None
        epoch = take_lease(session, model_id, resources.worker, settings.lease_s)
        if epoch is None:
            return None
        end_lost_runs(session, model_id, settings, actor=resources.actor)
        session.refresh(model)
        batch = next_batch(session, model, settings.max_items_per_run, actor=resources.actor)
        if batch is None:
            give_back(session, model_id, epoch)
            return None
        run = _begun(session, model, batch, epoch, resources)
        claimed = _claimed(session, model, batch, run)
        # Of a large batch the claim itself takes a while.
        renew(session, model_id, epoch, settings.lease_s)
        failpoint(Failpoint.CLAIM_BEFORE_COMMIT)
    failpoint(Failpoint.CLAIM_AFTER_COMMIT)
    return claimed


def _begun(
    session: Session, model: RegisteredModel, batch: Batch, epoch: int, resources: Resources
) -> UnlearningRun:
    """The run's row, with its items."""
    limit = resources.settings.max_items_per_run
    run = UnlearningRun(
        model_id=model.id,
        mode=batch.mode,
        carries_out=batch.approved.id if batch.approved else None,
        suspects=batch.suspects,
        epoch=epoch,
        worker=resources.worker,
        attempt=1,
        item_count=0,
        parent_version=model.head_version,
    )
    session.add(run)
    session.flush()
    taken, run.attempt = take_items(session, run.id, batch, limit)
    # What a person has approved is carried out as it is, or not at all.
    too_much = 0 if batch.approved else leave_out_too_much(session, run.id, model)
    run.item_count = taken - too_much
    append(
        session,
        Event.RUN_STARTED,
        actor=resources.actor,
        model_id=model.id,
        run_id=run.id,
        details={
            "items": run.item_count,
            "too_much": too_much,
            "attempt": run.attempt,
            "epoch": epoch,
        },
    )
    return run


def _claimed(session: Session, model: RegisteredModel, batch: Batch, run: UnlearningRun) -> Run:
    """What the worker needs to know of it."""
    return Run(
        id=run.id,
        model_id=model.id,
        epoch=run.epoch,
        parent_version=run.parent_version,
        mode=batch.mode,
        enrolment=Enrolment.model_validate(model.specification),
        policy=Policy.model_validate(model.policy),
        policy_version=model.policy_version,
        trained=model.counts(Split.TRAIN),
        holdout=model.counts(Split.HOLDOUT),
        recognised=model.base_accuracy["train"]["low"] if model.base_accuracy else None,
        samples=_samples(session, run.id),
        approval=_approval(batch),
        is_new=batch.is_new,
        starved=_starved(session, model.id),
    )


def _approval(batch: Batch) -> Approval | None:
    approved = batch.approved
    if approved is None:
        return None
    assert approved.review is not None
    assert approved.verdict is not None
    rung = approved.review["rung"]
    return Approval(
        by=approved.review["by"],
        rung=rung,
        settings=approved.verdict.ladder[rung].settings,
        cohorts={
            cohort.name: (cohort.labels, cohort.samples) for cohort in approved.verdict.cohorts
        },
    )


def _starved(session: Session, model_id: uuid.UUID) -> int:
    """How many of the latest runs were killed one after another, but for the first.

    Once may be an accident. Twice is for lack of memory, probably, and smaller passes are worth
    the last bits in which their sums differ.
    """
    ended = (UnlearningRun.model_id == model_id, UnlearningRun.state != RunState.RUNNING)
    signals = session.scalars(
        select(UnlearningRun.death["signal"].as_integer())
        .where(*ended)
        .order_by(UnlearningRun.epoch.desc())
        .limit(MOST_HALVINGS + 1)
    )
    killed = len(list(takewhile(lambda found: found == signal.SIGKILL, signals)))
    return max(0, killed - 1)


def _samples(session: Session, run_id: uuid.UUID) -> tuple[ForgetSample, ...]:
    rows = session.execute(
        select(Sample.sample_id, Sample.position, Sample.label, Sample.split, Sample.probe_rank)
        .join(
            DeletionItem,
            (DeletionItem.model_id == Sample.model_id)
            & (DeletionItem.sample_id == Sample.sample_id),
        )
        .where(pending_of(run_id), Sample.forgotten_version.is_(None))
        .distinct()
        # The order of addition is part of the result's last bits: make it the data's own.
        .order_by(Sample.position, Sample.sample_id)
    ).all()
    return tuple(ForgetSample(*row) for row in rows)
