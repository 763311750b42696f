"""What of a batch the policy lets be forgotten: requests as they came, as long as they fit.

The gateway has looked before it accepted them, but other gateways accept too, and the policy may
have become stricter since. What is too much then is that of some requests; no others lose by it.
"""

import uuid
from collections import defaultdict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import ForgetsTooMuch, NothingRetained
from models.policies import require_allowed
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RegisteredModel,
    Sample,
    Split,
)
from models.settling import settle_requests
from models.specifications import Policy
from workers.transactions.settlement import fail_items


def leave_out_too_much(session: Session, run_id: uuid.UUID, model: RegisteredModel) -> int:
    """Settle as failed what of the run's items the policy forbids; return how many these are.

    Of a request that does not fit they are all training samples that are not forgotten yet, and
    that no earlier request of the run has asked for.
    """
    assert model.label_counts is not None
    gate, total = (
        Policy.model_validate(model.policy).gate,
        sum(model.label_counts["train"].values()),
    )
    forgotten = _forgotten(session, model.id)
    taken: set[str] = set()
    failed = 0
    for request_id, sample_ids in _by_request(session, run_id).items():
        try:
            require_allowed(forgotten + len(taken | sample_ids), total, gate)
        except (ForgetsTooMuch, NothingRetained) as error:
            failed += fail_items(
                session, run_id, sample_ids - taken, str(error), request_id=request_id
            )
        else:
            taken |= sample_ids
    if failed:
        settle_requests(session, model.id)
    return failed


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
            DeletionItem.run_id == run_id,
            DeletionItem.outcome == Outcome.PENDING,
            Sample.split == Split.TRAIN,
            Sample.forgotten_version.is_(None),
        )
        .order_by(DeletionRequest.created_at, DeletionRequest.id)
    )
    found: dict[uuid.UUID, set[str]] = defaultdict(set)
    for request_id, sample_id in rows:
        found[request_id].add(sample_id)
    return found
