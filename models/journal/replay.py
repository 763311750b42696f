"""Asking once more for deletions that were published, and that the database has lost.

Every lost publication becomes one deletion request, known by an idempotency key that follows from
the run that had made it: however often this is done, there is one. When the policy has changed
there is another, should it be needed: one that is older may forbid what was published.
"""

import hashlib
import uuid
from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.journal.files import Entry
from models.records import (
    DeletionItem,
    DeletionRequest,
    ModelState,
    Outcome,
    RegisteredModel,
    RequestMode,
    Sample,
)
from models.records.sample import any_of
from models.requests import NewRequest, insert_requests
from models.settings import RESTORE

# Who asks for these requests: no API key can have that name.
REPLAYING = RESTORE


def ask_again(session: Session, name: str, entry: Entry, samples: Sequence[str]) -> bool:
    """Post a deletion request for the samples of a lost publication.

    False if there is one, or if the model has been retired meanwhile.
    """
    found = session.execute(
        select(RegisteredModel.id, RegisteredModel.policy_version)
        .where(RegisteredModel.name == name, RegisteredModel.state == ModelState.ACTIVE)
        .with_for_update(read=True, key_share=True)
    ).one_or_none()
    if found is None:
        return False
    model_id, policy_version = found
    key = f"{_key(entry)}-{policy_version}"
    request = NewRequest(
        id=uuid.uuid4(),
        model_id=model_id,
        mode=RequestMode.DELETE,
        principal=REPLAYING,
        reference=f"version {entry.version}, which was lost",
        deadline=None,
        idempotency_key=key,
        body_digest=hashlib.sha256(key.encode()).hexdigest(),
        duplicates=0,
        sample_ids=samples,
    )
    new = insert_requests(session, [request])
    if not new:
        return False
    append(
        session,
        Event.PUBLICATION_REPLAYED,
        actor=REPLAYING,
        model_id=model_id,
        request_id=request.id,
        details={
            "version": entry.version,
            "lost": str(entry.by),
            "counts": new[request.id].accepted_counts,
        },
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
        DeletionRequest.principal == REPLAYING,
        DeletionRequest.idempotency_key.startswith(_key(entry)),
    )
    left = (
        select(Sample.sample_id)
        .join(RegisteredModel, RegisteredModel.id == Sample.model_id)
        .where(
            RegisteredModel.name == name,
            Sample.sample_id == any_of(samples),
            Sample.forgotten_version.is_(None),
            ~rejected,
        )
    )
    return not session.scalar(select(left.exists()))


def _key(entry: Entry) -> str:
    return f"replay-{entry.by}"
