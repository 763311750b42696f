"""From what was posted to rows: requests, items, audit records, all in the caller's transaction."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.intake import statements
from app.intake.posted import Active, Posted
from app.schemas.deletion_requests import AcceptedRequest, Counts, counts_from
from models.audit.append import append
from models.audit.events import Event
from models.errors import ExpungeError, IdempotencyKeyReused, ModelNotActive, UnknownModel
from models.records import (
    DeletionRequest,
    ModelState,
    Outcome,
    RequestMode,
)
from models.registry import find_model
from models.requests import insert_requests
from models.retirement import gone

# Somebody with the same Idempotency-Key is waited for no longer than this, and by requests that
# share a transaction hardly at all: the others would have to wait as well.
LOCK_TIMEOUT, OF_SEVERAL = "5s", "200ms"


@dataclass(frozen=True)
class Acceptance:
    """The answer, and the registered model that has work now, if there is any."""

    answer: AcceptedRequest
    ring: uuid.UUID | None


def with_models(
    session: Session, group: Sequence[Posted], lock_timeout: str
) -> list[tuple[Posted, Active | ExpungeError]]:
    """Each request with its registered model, or with what is wrong with that."""
    names = {posted.model for posted in group}
    rows = session.connection().exec_driver_sql(
        statements.MODELS, {"names": list(names), "lock_timeout": lock_timeout}
    )
    known: dict[str, Active | ExpungeError] = {}
    for model_id, name, state, policy_version, _ in rows:
        if state == ModelState.ACTIVE:
            known[name] = Active(model_id, name, policy_version)
        elif state == ModelState.RETIRED:
            known[name] = gone(name)
        else:
            known[name] = ModelNotActive(
                f"The registered model {name!r} is {state}; it takes deletion requests once it is "
                "active."
            )
    for name in names - set(known):
        known[name] = _unknown(session, name)
    return [(posted, known[posted.model]) for posted in group]


def _unknown(session: Session, name: str) -> UnknownModel:
    try:
        find_model(session, name)
    except UnknownModel as error:
        return error
    # It has been registered just now; whoever asks again finds it.
    return UnknownModel(f"There is no registered model {name!r} yet. Try again.")


def find_active(session: Session, posted: Posted) -> Active:
    """The registered model of one request, or what is wrong with it raised."""
    [(_, model)] = with_models(session, [posted], LOCK_TIMEOUT)
    if isinstance(model, ExpungeError):
        raise model
    return model


def write(
    session: Session, chosen: Sequence[tuple[Posted, Active]]
) -> dict[uuid.UUID, Acceptance | ExpungeError]:
    """Insert requests, items and audit records; what became of each request, by its ID."""
    if not chosen:
        return {}
    new = insert_requests(session, [posted.as_rows(model) for posted, model in chosen])
    found: dict[uuid.UUID, Acceptance | ExpungeError] = {}
    for posted, model in chosen:
        if posted.id not in new:
            found[posted.id] = repeated(session, posted, model)
            continue
        row = new[posted.id]
        counts = counts_from(row.accepted_counts.items())
        record(session, posted, model, counts)
        found[posted.id] = acceptance(posted, model, counts, row.created_at)
    return found


def record(session: Session, posted: Posted, model: Active, counts: Counts) -> None:
    """Put an accepted request on the audit log."""
    append(
        session,
        Event.REQUEST_ACCEPTED,
        actor=posted.principal,
        model_id=model.id,
        request_id=posted.id,
        details={
            "items": sum(counts.values()),
            "counts": {outcome.value: count for outcome, count in counts.items()},
        },
    )


def acceptance(posted: Posted, model: Active, counts: Counts, created_at: datetime) -> Acceptance:
    """What a new request is answered."""
    pending = bool(counts.get(Outcome.PENDING))
    answer = AcceptedRequest(
        id=posted.id,
        model=model.name,
        mode=posted.mode,
        status="pending" if pending else "settled",
        reference=posted.reference,
        created_at=created_at,
        counts=counts,
        duplicates=posted.duplicates,
    )
    return Acceptance(answer, model.id if pending else None)


def repeated(session: Session, posted: Posted, model: Active) -> Acceptance | ExpungeError:
    """The first answer, if this request is there already; or that its key is another's."""
    same = DeletionRequest.id == posted.id
    # Without a key only the very same request can be there: the answer to its commit was lost.
    if posted.idempotency_key is not None:
        same |= (DeletionRequest.principal == posted.principal) & (
            DeletionRequest.idempotency_key == posted.idempotency_key
        )
    known = session.scalars(select(DeletionRequest).where(same)).one()
    if known.body_digest != posted.digest:
        return IdempotencyKeyReused(
            "This Idempotency-Key was sent before with another body. Use a new key for a new "
            "request, or repeat the first body."
        )
    counts = counts_from(known.accepted_counts.items())
    first = replace(posted, id=known.id, duplicates=known.duplicate_count)
    found = acceptance(first, model, counts, known.created_at)
    # Our own, whose transaction seemed to have failed: nobody has rung for it.
    return found if known.id == posted.id else replace(found, ring=None)


def waiting(posted: Posted, outcome: Acceptance | ExpungeError | None) -> int:
    """How many samples wait to be forgotten because of this request, which was new."""
    if not isinstance(outcome, Acceptance) or outcome.answer.id != posted.id:
        return 0
    if posted.mode is not RequestMode.DELETE:
        return 0
    return outcome.answer.counts.get(Outcome.PENDING, 0)
