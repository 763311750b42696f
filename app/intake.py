"""Accepting a deletion request: record, audit, commit, ring. Nothing accepted is lost.

Once the transaction has committed the request is the service's to fulfil, whatever happens to
Redis, the worker or this process; only then is the client told so.
"""

import hashlib
import json
import uuid
from typing import Any

from sqlalchemy import ARRAY, Text, case, cast, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.schemas.deletion_requests import (
    AcceptedRequest,
    Counts,
    NewDeletionRequest,
    counts_from,
)
from app.security import Principal
from models.audit.append import append
from models.audit.events import Event
from models.database import Database
from models.doorbell import Doorbell, Job
from models.errors import IdempotencyKeyReused, ModelNotActive, TooManySamples
from models.policies import require_allowed
from models.records import (
    DeletionItem,
    DeletionRequest,
    ModelState,
    Outcome,
    RegisteredModel,
    RequestMode,
    RequestState,
    Sample,
    Split,
)
from models.registry import find_model
from models.settings import Settings
from models.specifications import Policy


def accept(
    new: NewDeletionRequest,
    idempotency_key: str | None,
    principal: Principal,
    settings: Settings,
    database: Database,
    doorbell: Doorbell,
) -> AcceptedRequest:
    """Take responsibility for a request, or raise and change nothing.

    Raises `TooManySamples`, `UnknownModel`, `ModelNotActive`, `IdempotencyKeyReused`,
    `ForgetsTooMuch`, `NothingRetained`.
    """
    if len(new.sample_ids) > settings.max_inline_ids:
        raise TooManySamples(
            f"{len(new.sample_ids)} sample IDs were sent; the limit of one request is "
            f"{settings.max_inline_ids}. Send them in several requests."
        )
    digest = _digest(new)
    with database.transaction() as session:
        model = find_model(session, new.model)
        if model.state is not ModelState.ACTIVE:
            raise ModelNotActive(
                f"The registered model {model.name!r} is {model.state.value}; it takes deletion "
                "requests once it is active."
            )
        request, first = _insert_or_find(session, new, digest, idempotency_key, principal, model)
        if first:
            _fill(session, request, new, principal)
            _require_allowed(session, model, request)
    answer = _answer(request, model)
    if first and answer.status == "pending":
        doorbell.ring(Job.UNLEARN, model.id)
    return answer


def _insert_or_find(
    session: Session,
    new: NewDeletionRequest,
    digest: str,
    idempotency_key: str | None,
    principal: Principal,
    model: RegisteredModel,
) -> tuple[DeletionRequest, bool]:
    """The new row and True, or the one that the key belongs to and False."""
    same_key = select(DeletionRequest).where(
        DeletionRequest.principal == principal.name,
        DeletionRequest.idempotency_key == idempotency_key,
    )
    known = session.scalar(same_key) if idempotency_key is not None else None
    if known is None:
        request = DeletionRequest(
            id=uuid.uuid4(),
            model_id=model.id,
            state=RequestState.PENDING,
            mode=new.mode,
            principal=principal.name,
            reference=new.reference,
            deadline=new.deadline,
            idempotency_key=idempotency_key,
            body_digest=digest,
            item_count=0,
            duplicate_count=0,
            accepted_counts={},
        )
        try:
            with session.begin_nested():
                session.add(request)
            return request, True
        except IntegrityError:
            # The same key came twice at once; the other one has committed by now.
            known = session.scalars(same_key).one()
    if known.body_digest != digest:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was sent before with another body. Use a new key for a new "
            "request, or repeat the first body."
        )
    return known, False


def _fill(
    session: Session, request: DeletionRequest, new: NewDeletionRequest, principal: Principal
) -> None:
    distinct = list(dict.fromkeys(new.sample_ids))
    counts = _insert_items(session, request, distinct)
    request.item_count = len(distinct)
    request.duplicate_count = len(new.sample_ids) - len(distinct)
    request.accepted_counts = {outcome.value: count for outcome, count in counts.items()}
    if not counts.get(Outcome.PENDING):
        request.state = RequestState.SETTLED
        request.settled_at = request.created_at
    append(
        session,
        Event.REQUEST_ACCEPTED,
        actor=principal.name,
        model_id=request.model_id,
        request_id=request.id,
        details={"items": len(distinct), "counts": request.accepted_counts},
    )


def _require_allowed(session: Session, model: RegisteredModel, request: DeletionRequest) -> None:
    """Raise if this request, with all that is forgotten or waits, is more than may be forgotten.

    A run checks it again, by the policy it finds then; this is to say so while somebody listens.
    """
    assert model.label_counts is not None
    in_training = (Sample.model_id == model.id, Sample.split == Split.TRAIN)
    forgotten = session.scalar(
        select(func.count()).where(*in_training, Sample.forgotten_version.is_not(None))
    )
    asked = (
        select(func.count(Sample.sample_id.distinct()))
        .join(
            DeletionItem,
            (DeletionItem.model_id == Sample.model_id)
            & (DeletionItem.sample_id == Sample.sample_id),
        )
        .join(DeletionRequest, DeletionRequest.id == DeletionItem.request_id)
        .where(
            *in_training,
            Sample.forgotten_version.is_(None),
            DeletionItem.outcome == Outcome.PENDING,
            (DeletionRequest.mode == RequestMode.DELETE) | (DeletionRequest.id == request.id),
        )
    )
    require_allowed(
        (forgotten or 0) + (session.scalar(asked) or 0),
        sum(model.label_counts["train"].values()),
        Policy.model_validate(model.policy).gate,
    )


def _insert_items(session: Session, request: DeletionRequest, sample_ids: list[str]) -> Counts:
    """One statement for all items; each looks its sample up and gets its first outcome."""
    posted = (
        func.unnest(cast(sample_ids, ARRAY(Text)))
        .table_valued("sample_id", with_ordinality="position")
        .render_derived()
    )
    outcome = case(
        (Sample.sample_id.is_(None), literal(Outcome.UNKNOWN.value)),
        (Sample.weakened, literal(Outcome.WEAKENED.value)),
        (Sample.forgotten_version.is_not(None), literal(Outcome.ALREADY_FORGOTTEN.value)),
        else_=literal(Outcome.PENDING.value),
    )
    settled = case((outcome == Outcome.PENDING.value, None), else_=func.now())
    rows = (
        select(
            literal(request.id),
            posted.c.position - 1,
            literal(request.model_id),
            posted.c.sample_id,
            outcome,
            Sample.forgotten_version,
            settled,
        )
        .select_from(posted)
        .outerjoin(
            Sample,
            (Sample.model_id == request.model_id) & (Sample.sample_id == posted.c.sample_id),
        )
    )
    columns = [
        "request_id",
        "position",
        "model_id",
        "sample_id",
        "outcome",
        "version",
        "settled_at",
    ]
    session.execute(insert(DeletionItem).from_select(columns, rows))
    return count_outcomes(session, request.id)


def count_outcomes(session: Session, request_id: uuid.UUID) -> Counts:
    """How many items of a request have each outcome."""
    return counts_from(
        session.execute(
            select(DeletionItem.outcome, func.count())
            .where(DeletionItem.request_id == request_id)
            .group_by(DeletionItem.outcome)
        )
    )


def _answer(request: DeletionRequest, model: RegisteredModel) -> AcceptedRequest:
    counts = counts_from(request.accepted_counts.items())
    return AcceptedRequest(
        id=request.id,
        model=model.name,
        mode=request.mode,
        status="pending" if counts.get(Outcome.PENDING) else "settled",
        reference=request.reference,
        created_at=request.created_at,
        counts=counts,
        duplicates=request.duplicate_count,
    )


def _digest(new: NewDeletionRequest) -> str:
    body: dict[str, Any] = new.model_dump(mode="json")
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
