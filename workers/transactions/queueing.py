"""Which pending items the next run takes: the order in which work is done."""

import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from models.audit.append import append
from models.audit.events import Event
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RegisteredModel,
    RequestMode,
    RunState,
    UnlearningRun,
)
from models.records.deletion_item import pending_of, rested

# Items that so many runs have failed on are tried together with no others that wait: it may be that
# which makes runs fail.
MOST_FAILURES = 3


@dataclass(frozen=True)
class Batch:
    """What one run takes: an approved run's items, a dry run's request, or all new deletions.

    Or those that waited for a review of run `again`, which can be given no more; or all that wait
    for one, `together`; or else a group of `suspects`, so that what they break is theirs alone.
    """

    mode: RequestMode
    approved: UnlearningRun | None = None
    again: uuid.UUID | None = None
    together: bool = False
    request_id: uuid.UUID | None = None
    suspects: uuid.UUID | None = None

    @property
    def is_new(self) -> bool:
        """Whether it takes nothing that has been held for a review before."""
        return self.approved is None and self.again is None and not self.together


def has_work(limit: int) -> ColumnElement[bool]:
    """For queries: registered models of which a run, of at most `limit` items, has work to do."""
    free = exists().where(DeletionItem.model_id == RegisteredModel.id, _free())
    return or_(free, _held_apart(limit))


def holds(session: Session, model_id: uuid.UUID, condition: ColumnElement[bool]) -> bool:
    """Whether a condition on registered models holds of one."""
    found = select(RegisteredModel.id).where(RegisteredModel.id == model_id, condition)
    return session.scalar(found) is not None


def next_batch(session: Session, model: RegisteredModel, limit: int, *, actor: str) -> Batch | None:
    """Approved runs first, then deletions, groups of suspects, dry runs; None if nothing is free.

    New deletions are tried by themselves, and if that does not pass, together with all that wait
    already. After that it is the turn of the others: however many deletions come, suspects and dry
    runs do not wait for more of them.
    """
    approved = _approved_run(session, model, actor)
    if approved is not None:
        return Batch(RequestMode.DELETE, approved=approved)
    if holds(session, model.id, _held_apart(limit)):
        return Batch(RequestMode.DELETE, together=True)
    plain = and_(
        DeletionRequest.mode == RequestMode.DELETE,
        DeletionItem.suspects.is_(None),
        DeletionItem.run_id.is_(None),
    )
    oldest = (
        select(DeletionRequest.id, DeletionRequest.mode, DeletionItem.suspects, DeletionItem.run_id)
        .join(DeletionItem, DeletionItem.request_id == DeletionRequest.id)
        .where(DeletionItem.model_id == model.id, _free())
        .order_by(
            plain if _was_plain(session, model) else ~plain,
            DeletionRequest.mode != RequestMode.DELETE,
            DeletionRequest.created_at,
        )
        .limit(1)
    )
    found = session.execute(oldest).one_or_none()
    if found is None:
        return None
    request_id, mode, suspects, again = found
    return Batch(
        mode,
        again=again,
        request_id=request_id if mode is RequestMode.DRY_RUN else None,
        suspects=suspects,
    )


def _was_plain(session: Session, model: RegisteredModel) -> bool:
    """Whether the latest run took deletions of which nobody is suspected."""
    latest = session.execute(
        select(UnlearningRun.mode, UnlearningRun.suspects)
        .where(UnlearningRun.model_id == model.id)
        .order_by(UnlearningRun.epoch.desc())
        .limit(1)
    ).one_or_none()
    return latest is not None and latest.mode is RequestMode.DELETE and latest.suspects is None


def take_items(session: Session, run_id: uuid.UUID, batch: Batch, limit: int) -> tuple[int, int]:
    """Give the run its items; how many these are, and which attempt it is for them."""
    chosen = (
        select(DeletionItem.request_id, DeletionItem.position)
        .join(DeletionRequest, DeletionRequest.id == DeletionItem.request_id)
        .where(DeletionItem.outcome == Outcome.PENDING, rested(), *_of(session, run_id, batch))
        .order_by(
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
        .values(run_id=run_id)
        .returning(DeletionItem.attempts)
    ).all()
    return len(attempts), max(attempts, default=0) + 1


def _of(session: Session, run_id: uuid.UUID, batch: Batch) -> list[ColumnElement[bool]]:
    if batch.approved is not None:
        return [DeletionItem.run_id == batch.approved.id]
    if batch.again is not None:
        return [DeletionItem.run_id == batch.again]
    model_id = session.get_one(UnlearningRun, run_id).model_id
    conditions = [
        DeletionItem.model_id == model_id,
        DeletionRequest.mode == batch.mode,
        DeletionItem.suspects.is_not_distinct_from(batch.suspects),
    ]
    if batch.request_id is not None:
        return [*conditions, DeletionRequest.id == batch.request_id]
    if batch.together:
        return [*conditions, _held_now(), DeletionItem.attempts < MOST_FAILURES]
    return [*conditions, DeletionItem.run_id.is_(None)]


def _approved_run(session: Session, model: RegisteredModel, actor: str) -> UnlearningRun | None:
    """The oldest approved run that is still to be carried out.

    If the head has moved since, what was approved is no longer what would be published: its items
    go back to the others.
    """
    waiting = (
        select(UnlearningRun)
        .where(
            UnlearningRun.model_id == model.id,
            UnlearningRun.state == RunState.APPROVED,
            exists().where(pending_of(UnlearningRun.id), rested()),
        )
        .order_by(UnlearningRun.created_at)
    )
    for run in session.scalars(waiting):
        if run.parent_version == model.head_version:
            return run
        session.execute(update(DeletionItem).where(pending_of(run.id)).values(run_id=None))
        append(session, Event.APPROVAL_LAPSED, actor=actor, model_id=model.id, run_id=run.id)
    return None


def _free() -> ColumnElement[bool]:
    """Pending items that a worker can take up by itself."""
    return and_(
        DeletionItem.outcome == Outcome.PENDING,
        rested(),
        or_(DeletionItem.run_id.is_(None), _held_by(RunState.APPROVED), _held_in_vain()),
    )


def _held_apart(limit: int) -> ColumnElement[bool]:
    """Registered models of which several runs wait for a review: not yet tried together.

    What is more than one run takes stays apart, and what runs have failed on so often.
    """
    waits = pending_of(UnlearningRun.id)
    several = and_(func.count() > 1, func.sum(UnlearningRun.item_count) <= limit)
    waiting = (
        select(several)
        .select_from(UnlearningRun)
        .where(
            UnlearningRun.model_id == RegisteredModel.id,
            UnlearningRun.state == RunState.NEEDS_REVIEW,
            _is_current(),
            exists().where(waits),
            ~exists().where(waits, DeletionItem.attempts >= MOST_FAILURES),
        )
    )
    return waiting.scalar_subquery()


def _held_by(state: RunState) -> ColumnElement[bool]:
    return exists().where(UnlearningRun.id == DeletionItem.run_id, UnlearningRun.state == state)


def _held_in_vain() -> ColumnElement[bool]:
    """Items that wait for a review of what is no longer so: the head or the policy has changed.

    Or others were parted from them to be tried first, and none of these is tried any more.
    """
    return and_(_held_by(RunState.NEEDS_REVIEW), or_(~_held_now(), _left_of_a_parting()))


def _left_of_a_parting() -> ColumnElement[bool]:
    # Found for the few runs that are held and not for each of their items, which may be a million.
    run, model = aliased(UnlearningRun), aliased(RegisteredModel)
    item, request, other = aliased(DeletionItem), aliased(DeletionRequest), aliased(UnlearningRun)
    under_way = exists().where(other.id == item.run_id, other.state == RunState.RUNNING)
    still_tried = exists().where(
        item.model_id == run.model_id,
        item.outcome == Outcome.PENDING,
        or_(item.run_id.is_(None), under_way),
        request.id == item.request_id,
        request.mode == RequestMode.DELETE,
    )
    left = select(run.id).where(
        run.state == RunState.NEEDS_REVIEW,
        model.id == run.model_id,
        run.parent_version == model.head_version,
        run.verdict["parted"].as_integer() > 0,
        ~still_tried,
    )
    return DeletionItem.run_id.in_(left)


def _held_now() -> ColumnElement[bool]:
    """Items that wait for a review of what is still so."""
    return exists().where(
        UnlearningRun.id == DeletionItem.run_id,
        UnlearningRun.state == RunState.NEEDS_REVIEW,
        RegisteredModel.id == UnlearningRun.model_id,
        _is_current(),
    )


def _is_current() -> ColumnElement[bool]:
    """Runs that were judged by the head and the policy that there are now."""
    return and_(
        UnlearningRun.parent_version == RegisteredModel.head_version,
        UnlearningRun.verdict["policy_version"].as_integer() == RegisteredModel.policy_version,
    )
