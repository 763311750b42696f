"""How a run ends in the database: its items, their requests and its own state, in one transaction.

Every function here works inside the caller's transaction and has checked the epoch before.
"""

import uuid
from collections import Counter
from collections.abc import Collection

from sqlalchemy import (
    ARRAY,
    BigInteger,
    any_,
    case,
    cast,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session

from models.documents import Verdict
from models.records import (
    DeletionItem,
    Outcome,
    RunState,
    Sample,
    Split,
    UnlearningRun,
)
from models.records.base import Json
from models.records.deletion_item import MAX_REASON, pending_of
from models.records.sample import any_of
from workers.failures import Failure


def end_run(
    session: Session,
    run: UnlearningRun,
    state: RunState,
    *,
    timings: Json | None = None,
    verdict: Verdict | None = None,
    failure: Failure | None = None,
    version: int | None = None,
) -> None:
    """Move a run, which is locked and running, to its final state."""
    run.state = state
    run.finished_at = session.scalar(select(func.clock_timestamp()))
    run.progress = None
    run.version = version
    run.verdict = verdict
    run.failure = failure.as_json() if failure else None
    run.timings = timings or run.timings


def mark_forgotten(
    session: Session, model_id: uuid.UUID, sample_ids: list[str], version: int
) -> None:
    """Samples are forgotten from `version` on."""
    session.execute(
        update(Sample)
        .where(
            Sample.model_id == model_id,
            Sample.sample_id == any_of(sample_ids),
            Sample.forgotten_version.is_(None),
        )
        # now() is the time at which the transaction began, the same in all its statements.
        .values(forgotten_version=version, forgotten_at=func.now())
    )


def mark_weakened(
    session: Session, model_id: uuid.UUID, by_label: dict[int, bool]
) -> dict[str, int]:
    """Whether the forgotten training samples of each label are weakened only; others stay as is.

    Returns of how many that has changed, if of any.
    """
    changed: dict[str, int] = {}
    for weakened, what in ((True, "samples_weakened"), (False, "samples_weakened_no_longer")):
        labels = [label for label, is_so in by_label.items() if is_so is weakened]
        marked = session.scalars(
            update(Sample)
            .where(
                Sample.model_id == model_id,
                Sample.split == Split.TRAIN,
                Sample.forgotten_version.is_not(None),
                Sample.label == any_(cast(labels, ARRAY(BigInteger))),
                Sample.weakened != weakened,
            )
            .values(weakened=weakened)
            .returning(Sample.position)
        ).all()
        if marked:
            changed[what] = len(marked)
    return changed


def count_weakened(session: Session, model_id: uuid.UUID) -> int:
    """How many forgotten samples the network may give away."""
    weakened = select(func.count()).where(
        Sample.model_id == model_id,
        Sample.split == Split.TRAIN,
        Sample.forgotten_version.is_not(None),
        Sample.weakened,
    )
    return session.scalar(weakened) or 0


def settle_items(session: Session, run_id: uuid.UUID) -> dict[str, int]:
    """Give the run's pending items their outcomes; return how many came to which.

    Call it after `mark_forgotten` and `mark_weakened` in the same transaction, which is how it
    tells samples that this run forgets from those that an earlier one has: their items become
    `already_forgotten`.
    """
    sample = select(Sample).where(
        Sample.model_id == DeletionItem.model_id, Sample.sample_id == DeletionItem.sample_id
    )
    forgotten_version = sample.with_only_columns(Sample.forgotten_version).scalar_subquery()
    forgotten_now = sample.with_only_columns(Sample.forgotten_at == func.now()).scalar_subquery()
    weakened = sample.with_only_columns(Sample.weakened).scalar_subquery()
    settled = session.execute(
        update(DeletionItem)
        .where(pending_of(run_id))
        .values(
            outcome=case(
                (weakened, literal(Outcome.WEAKENED.value)),
                (forgotten_now, literal(Outcome.FORGOTTEN.value)),
                else_=literal(Outcome.ALREADY_FORGOTTEN.value),
            ),
            version=forgotten_version,
            settled_at=func.now(),
        )
        .returning(DeletionItem.outcome)
    ).scalars()
    return dict(Counter(outcome.value for outcome in settled))


def settle_predicted(session: Session, run_id: uuid.UUID) -> int:
    """Settle a dry run's pending items; return how many."""
    settled = session.execute(
        update(DeletionItem)
        .where(pending_of(run_id))
        .values(outcome=Outcome.PREDICTED, settled_at=func.now())
        .returning(DeletionItem.position)
    )
    return len(settled.all())


def fail_items(
    session: Session,
    run_id: uuid.UUID,
    sample_ids: Collection[str],
    reason: str,
    *,
    request_id: uuid.UUID | None = None,
) -> int:
    """Settle the items of samples that cannot be forgotten, saying why; of one request, or of all.

    Returns how many items that are.
    """
    of_one = [] if request_id is None else [DeletionItem.request_id == request_id]
    settled = session.execute(
        update(DeletionItem)
        .where(pending_of(run_id), DeletionItem.sample_id == any_of(sample_ids), *of_one)
        .values(outcome=Outcome.FAILED, reason=reason[:MAX_REASON], settled_at=func.now())
        .returning(DeletionItem.position)
    )
    return len(settled.all())


def clear_suspicion(session: Session, run_id: uuid.UUID) -> None:
    """The run's pending items have come through a run."""
    session.execute(update(DeletionItem).where(pending_of(run_id)).values(suspects=None, blame=0))


def fail_pending(session: Session, run_id: uuid.UUID, reason: str) -> None:
    """Settle all the run's pending items as failed: they would fail in the same way for ever."""
    session.execute(
        update(DeletionItem)
        .where(pending_of(run_id))
        .values(
            attempts=DeletionItem.attempts + 1,
            outcome=Outcome.FAILED,
            reason=reason[:MAX_REASON],
            settled_at=func.now(),
        )
    )
