"""Giving back the items of a run that settled nothing: when they rest, and which are suspected.

A failure that the samples may have caused (a process that died, an error nobody foresaw, a run that
took too long) is held against all items of the run. Those that this has happened to too often are
*suspects*: they are taken in halves, each by a run of its own, until one is left alone. It begins
afresh, because an accident may have brought it there, and is quarantined if that happens to it too
often again; what comes through is settled like any others. Failures that can only
be the surroundings' (a full disk, a lost database, a damaged file) are never held against an item:
it rests, longer each time, and is tried again until somebody has mended them.

Every function here works inside the caller's transaction, which holds the lease.
"""

import uuid
from enum import Enum

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select, true, update
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.records import DeletionItem, Outcome, UnlearningRun
from models.records.deletion_item import MAX_REASON, pending_of
from models.settings import Settings
from workers.transactions.withdrawing import withdraw_asked_for

LONGEST_PAUSE_S = 3600.0
# A worker that is lost says nothing about what it was at, unless it happens again and again: then
# something takes whole machines down.
LOSSES_THAT_TELL = 10
# What an item has against it when it begins afresh.
AFRESH = {"attempts": 0, "blame": 0, "losses": 0}


class Cause(Enum):
    """What made a run settle nothing."""

    ITS_SAMPLES = "perhaps its samples"
    ITS_SURROUNDINGS = "its surroundings"
    ITS_WORKER = "its worker was lost"
    A_DECISION = "somebody wanted it so"
    A_DECISION_TO_WAIT = "somebody wanted it so, and that it waits"


def release_items(
    session: Session,
    run: UnlearningRun,
    cause: Cause,
    reason: str,
    settings: Settings,
    *,
    actor: str,
    outdated: bool = False,
) -> None:
    """Give the run's pending items back, or quarantine the one that was left alone.

    Requests that were withdrawn meanwhile are cancelled first. Items of an approved run stay
    approved, unless the approval is `outdated` or they are suspected.
    """
    withdraw_asked_for(session, run)
    if cause is Cause.A_DECISION_TO_WAIT:
        _update_items(session, run, retry_at=func.now() + _seconds(settings.retry_s))
    elif cause is not Cause.A_DECISION:
        _update_items(
            session,
            run,
            attempts=DeletionItem.attempts + 1,
            losses=DeletionItem.losses + int(cause is Cause.ITS_WORKER),
            retry_at=func.now() + _pause(cause, settings.retry_s),
        )
        told = and_(pending_of(run.id), _tells(cause))
        session.execute(update(DeletionItem).where(told).values(blame=DeletionItem.blame + 1))
        # Only items that this failure says something about can become suspects by it.
        suspected = and_(told, DeletionItem.blame >= settings.max_attempts)
        _suspect(session, run, suspected, settings.max_attempts, reason, actor)
    _update_items(session, run, run_id=None if outdated else run.carries_out)


def _tells(cause: Cause) -> ColumnElement[bool]:
    """Of which items the failure says that they may be what breaks their runs."""
    if cause is Cause.ITS_WORKER:
        return DeletionItem.losses > LOSSES_THAT_TELL
    return true() if cause is Cause.ITS_SAMPLES else false()


def _pause(cause: Cause, retry_s: float) -> ColumnElement[object]:
    """Doubling with every attempt; a lost worker costs no pause the first times."""
    of_worker = cause is Cause.ITS_WORKER
    before = DeletionItem.losses - LOSSES_THAT_TELL if of_worker else DeletionItem.attempts + 0
    doubled = retry_s * func.pow(2, func.least(before, 30))
    return _seconds(case((before < 0, 0.0), else_=func.least(doubled, LONGEST_PAUSE_S)))


def _seconds(count: object) -> ColumnElement[object]:
    return func.make_interval(0, 0, 0, 0, 0, 0, count)


def _suspect(
    session: Session,
    run: UnlearningRun,
    suspected: ColumnElement[bool],
    most_blame: int,
    reason: str,
    actor: str,
) -> None:
    """Divide the suspects of the run in two groups, or quarantine the one that was alone in it."""
    counted = select(func.count(DeletionItem.sample_id.distinct())).where(pending_of(run.id))
    samples = session.scalar(counted)
    if samples == 1:
        # It may have come to be alone because the others were withdrawn: what was held against it
        # until then was so in company.
        in_company = and_(suspected, DeletionItem.blame > most_blame)
        session.execute(update(DeletionItem).where(in_company).values(**AFRESH))
        _quarantine(session, run, suspected, reason, actor)
        return
    places = select(
        DeletionItem.request_id,
        DeletionItem.position,
        # Several requests may ask for one sample; its items stand and fall together.
        func.dense_rank().over(order_by=DeletionItem.sample_id).label("place"),
    ).where(suspected)
    chosen = places.cte("chosen")
    most = select(func.max(chosen.c.place)).scalar_subquery()
    in_first = chosen.c.place * 2 <= most
    alone = or_(most <= 2, and_(in_first, most == 3))
    session.execute(
        update(DeletionItem)
        .where(
            DeletionItem.request_id == chosen.c.request_id,
            DeletionItem.position == chosen.c.position,
        )
        .values(
            suspects=case((in_first, uuid.uuid4()), else_=uuid.uuid4()),
            **{
                count: case((alone, none), else_=getattr(DeletionItem, count))
                for count, none in AFRESH.items()
            },
            # There is nothing to wait for: a smaller group is another attempt. What a person may
            # have approved was for all of them.
            retry_at=None,
            run_id=None,
        )
    )


def _quarantine(
    session: Session,
    run: UnlearningRun,
    suspected: ColumnElement[bool],
    reason: str,
    actor: str,
) -> None:
    said = f"Every run that took it broke, the last one with nothing else. {reason}"
    quarantined = session.scalars(
        update(DeletionItem)
        .where(suspected)
        .values(
            outcome=Outcome.QUARANTINED,
            reason=said[:MAX_REASON],
            settled_at=func.now(),
        )
        .returning(DeletionItem.attempts)
    ).all()
    if quarantined:
        append(
            session,
            Event.ITEM_QUARANTINED,
            actor=actor,
            model_id=run.model_id,
            run_id=run.id,
            details={"items": len(quarantined), "attempts": max(quarantined)},
        )


def _update_items(session: Session, run: UnlearningRun, **values: object) -> None:
    session.execute(update(DeletionItem).where(pending_of(run.id)).values(**values))
