"""The lease of a registered model, as those handle it who do not hold it.

Taking, renewing and giving it back is for workers (`workers/leases.py`).
"""

import uuid

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.records import Lease


def lock_lease(session: Session, model_id: uuid.UUID) -> None:
    """Every transaction of a worker locks the lease first; so does every one of a person.

    Else they could wait for each other's items and requests.
    """
    session.execute(select(Lease.epoch).where(Lease.model_id == model_id).with_for_update())


def take_away(session: Session, model_id: uuid.UUID) -> None:
    """Lock the lease and take it from whoever holds it, who can change nothing any more.

    If nobody ever held it, whoever is about to waits for the end of this transaction.
    """
    free = {"holder": None, "expires_at": func.to_timestamp(0)}
    session.execute(
        insert(Lease)
        .values(model_id=model_id, epoch=1, **free)
        .on_conflict_do_update(index_elements=["model_id"], set_={"epoch": Lease.epoch + 1, **free})
    )
