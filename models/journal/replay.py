"""Asking once more for deletions that were published, and that the database has lost.

Every lost publication becomes one deletion request, known by an idempotency key that follows from
the run that had made it: however often this is done, there is one.
"""

import hashlib
import uuid
from collections.abc import Sequence

from sqlalchemy import (
    ARRAY,
    CollectionAggregate,
    Text,
    any_,
    case,
    cast,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.journal.files import Entry
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RegisteredModel,
    RequestMode,
    RequestState,
    Sample,
)

PRINCIPAL = "restore"


def ask_again(session: Session, name: str, entry: Entry, samples: Sequence[str]) -> bool:
    """Post a deletion request for the samples of a lost publication; False if there is one."""
    model_id = session.scalars(select(RegisteredModel.id).where(RegisteredModel.name == name)).one()
    request_id = session.scalar(
        insert(DeletionRequest)
        .values(
            id=uuid.uuid4(),
            model_id=model_id,
            state=RequestState.PENDING,
            mode=RequestMode.DELETE,
            principal=PRINCIPAL,
            reference=f"version {entry.version}, which was lost",
            idempotency_key=_key(entry),
            body_digest=hashlib.sha256(_key(entry).encode()).hexdigest(),
            item_count=len(samples),
            duplicate_count=0,
            accepted_counts={},
        )
        .on_conflict_do_nothing()
        .returning(DeletionRequest.id)
    )
    if request_id is None:
        return False
    counts = _insert_items(session, model_id, request_id, samples)
    request = session.get_one(DeletionRequest, request_id)
    request.accepted_counts = counts
    if not counts.get(Outcome.PENDING.value):
        request.state = RequestState.SETTLED
        request.settled_at = request.created_at
    append(
        session,
        Event.PUBLICATION_REPLAYED,
        actor=PRINCIPAL,
        model_id=model_id,
        request_id=request_id,
        details={"version": entry.version, "lost": str(entry.by), "counts": counts},
    )
    return True


def is_made_up_for(session: Session, name: str, entry: Entry, samples: Sequence[str]) -> bool:
    """Whether every sample of a lost publication is forgotten again, or a person has decided that
    it is not to be. Samples that the model does not have are nothing to forget.
    """
    rejected = exists().where(
        DeletionItem.request_id == DeletionRequest.id,
        DeletionItem.sample_id == Sample.sample_id,
        DeletionItem.outcome == Outcome.REJECTED,
        DeletionRequest.principal == PRINCIPAL,
        DeletionRequest.idempotency_key == _key(entry),
    )
    left = (
        select(Sample.sample_id)
        .join(RegisteredModel, RegisteredModel.id == Sample.model_id)
        .where(
            RegisteredModel.name == name,
            Sample.sample_id == _any_of(samples),
            Sample.forgotten_version.is_(None),
            ~rejected,
        )
    )
    return not session.scalar(select(left.exists()))


def _insert_items(
    session: Session, model_id: uuid.UUID, request_id: uuid.UUID, samples: Sequence[str]
) -> dict[str, int]:
    asked = (
        func.unnest(cast(samples, ARRAY(Text)))
        .table_valued("sample_id", with_ordinality="position")
        .render_derived()
    )
    outcome = case(
        (Sample.sample_id.is_(None), literal(Outcome.UNKNOWN.value)),
        (Sample.weakened, literal(Outcome.WEAKENED.value)),
        (Sample.forgotten_version.is_not(None), literal(Outcome.ALREADY_FORGOTTEN.value)),
        else_=literal(Outcome.PENDING.value),
    )
    rows = (
        select(
            literal(request_id),
            asked.c.position - 1,
            literal(model_id),
            asked.c.sample_id,
            outcome,
            Sample.forgotten_version,
            case((outcome == Outcome.PENDING.value, None), else_=func.now()),
        )
        .select_from(asked)
        .outerjoin(Sample, (Sample.model_id == model_id) & (Sample.sample_id == asked.c.sample_id))
    )
    session.execute(
        insert(DeletionItem).from_select(
            [
                *("request_id", "position", "model_id", "sample_id"),
                *("outcome", "version", "settled_at"),
            ],
            rows,
        )
    )
    counted = session.execute(
        select(DeletionItem.outcome, func.count())
        .where(DeletionItem.request_id == request_id)
        .group_by(DeletionItem.outcome)
    )
    return {outcome.value: count for outcome, count in counted}


def _any_of(values: Sequence[str]) -> CollectionAggregate[bool]:
    return any_(cast(values, ARRAY(Text)))


def _key(entry: Entry) -> str:
    return f"replay-{entry.by}"
