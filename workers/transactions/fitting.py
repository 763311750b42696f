"""What of a batch the policy lets be forgotten: requests as they came, as long as they fit.

The gateway has looked before it accepted them, but other gateways accept too, and the policy may
have become stricter since. What is too much then is that of some requests; no others lose by it.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import ForgetsTooMuch, NothingRetained
from models.policies import require_allowed
from models.records import (
    DeletionItem,
    DeletionRequest,
    RegisteredModel,
    Sample,
    Split,
)
from models.records.deletion_item import pending_of
from models.settling import settle_requests
from models.specifications import Gate, Policy
from workers.transactions.settlement import fail_items


def leave_out_too_much(session: Session, run_id: uuid.UUID, model: RegisteredModel) -> int:
    """Settle as failed what of the run's items the policy forbids; return how many these are.

    Of a request that does not fit they are all training samples that are not forgotten yet, and
    that no earlier request of the run has asked for.
    """
    gate, total = Policy.model_validate(model.policy).gate, model.training_samples
    refused = too_much(
        _by_request(session, run_id), gate, forgotten=_forgotten(session, model.id), total=total
    )
    failed = sum(
        fail_items(session, run_id, sample_ids, reason, request_id=request_id)
        for request_id, sample_ids, reason in refused
    )
    if failed:
        settle_requests(session, model.id)
    return failed


def too_much(
    by_request: Mapping[uuid.UUID, Set[str]], gate: Gate, *, forgotten: int, total: int
) -> Iterator[tuple[uuid.UUID, Set[str], str]]:
    """Each request that does not fit: which of its samples are too much, and why.

    The earlier ones come first. A run may have as many requests as items, so what a request costs
    here depends on its own items alone.
    """
    taken: set[str] = set()
    for request_id, sample_ids in by_request.items():
        new = sample_ids - taken
        try:
            require_allowed(forgotten + len(taken) + len(new), total, gate)
        except (ForgetsTooMuch, NothingRetained) as error:
            yield request_id, new, str(error)
        else:
            taken |= new


def _forgotten(session: Session, model_id: uuid.UUID) -> int:
    counted = select(func.count()).where(
        Sample.model_id == model_id,
        Sample.split == Split.TRAIN,
        Sample.forgotten_version.is_not(None),
    )
    return session.scalar(counted) or 0


def _by_request(session: Session, run_id: uuid.UUID) -> dict[uuid.UUID, set[str]]:
    """The training samples that each request of the run wants forgotten, the earliest first."""
    rows = session.execute(
        select(DeletionItem.request_id, DeletionItem.sample_id)
        .join(DeletionRequest, DeletionRequest.id == DeletionItem.request_id)
        .join(
            Sample,
            (Sample.model_id == DeletionItem.model_id)
            & (Sample.sample_id == DeletionItem.sample_id),
        )
        .where(
            pending_of(run_id),
            Sample.split == Split.TRAIN,
            Sample.forgotten_version.is_(None),
        )
        .order_by(DeletionRequest.created_at, DeletionRequest.id)
    )
    found: dict[uuid.UUID, set[str]] = defaultdict(set)
    for request_id, sample_id in rows:
        found[request_id].add(sample_id)
    return found
