"""Accepting deletion requests: record, audit, commit. Nothing accepted is lost.

Once the transaction has committed a request is the service's to fulfil, whatever happens to Redis,
the worker or this process; only then is the client told so.

Requests that come together share a transaction. Each gets its own answer or error all the same:
what can be wrong with one is found out by reading, and nothing of it is written. If the transaction
itself fails, each is tried by itself, and finds by its ID if it was written after all.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.intake import statements
from app.intake.allowances import Allowances, Reserved
from app.intake.posted import Active, Posted
from app.intake.writing import (
    OF_SEVERAL,
    Acceptance,
    find_active,
    waiting,
    with_models,
    write,
)
from models.database import Database
from models.errors import ExpungeError
from models.failpoints import Failpoint, failpoint
from models.records import Outcome, RegisteredModel

# What became of one request of a group: None is one that must be tried alone.
Result = Acceptance | ExpungeError | None


@dataclass
class Intake:
    """Writes requests down; safe to share between threads."""

    database: Database
    allowances: Allowances = field(default_factory=Allowances)

    def together(self, group: Sequence[Posted]) -> list[Result]:
        """One transaction for all: what became of each; None is one that must be tried alone."""
        found: dict[uuid.UUID, Result] = {}
        with self.allowances.reserving() as reserved:
            with self.database.transaction() as session:
                chosen = []
                for posted, model in with_models(session, group, OF_SEVERAL):
                    if isinstance(model, ExpungeError):
                        found[posted.id] = model
                    elif reserved.take(posted.id, model, len(posted.sample_ids)):
                        chosen.append((posted, model))
                found |= write(session, chosen)
                session.flush()
                failpoint(Failpoint.ACCEPT_BEFORE_COMMIT)
            for posted, _ in chosen:
                reserved.keep(posted.id, waiting(posted, found[posted.id]))
            failpoint(Failpoint.ACCEPT_AFTER_COMMIT)
        return [found.get(posted.id) for posted in group]

    def alone(self, posted: Posted) -> Acceptance:
        """Take responsibility for one request, or raise and change nothing.

        Raises `UnknownModel`, `ModelNotActive`, `IdempotencyKeyReused`, `ForgetsTooMuch`,
        `NothingRetained`.
        """
        with self.allowances.reserving() as reserved:
            with self.database.transaction() as session:
                model = find_active(session, posted)
                [outcome] = write(session, [(posted, model)]).values()
                if isinstance(outcome, ExpungeError):
                    raise outcome
                if outcome.answer.id == posted.id:
                    count = outcome.answer.counts.get(Outcome.PENDING, 0)
                    self.require_allowed(session, reserved, posted.id, model, count)
                session.flush()
                failpoint(Failpoint.ACCEPT_BEFORE_COMMIT)
            reserved.keep(posted.id, waiting(posted, outcome))
            failpoint(Failpoint.ACCEPT_AFTER_COMMIT)
        return outcome

    def require_allowed(
        self,
        session: Session,
        reserved: Reserved,
        request_id: uuid.UUID,
        model: Active,
        count: int,
    ) -> None:
        """Raise if this request, with all that is forgotten or waits, is more than is allowed.

        A run checks it again, by the policy it finds then; this says so while somebody listens.
        """
        with self.allowances.counting():
            # Somebody may have counted while we waited for our turn.
            if reserved.take(request_id, model, count, counting=True):
                return
            ended = self.allowances.ended(model.id)
            total = session.connection().exec_driver_sql(
                statements.COUNT_ALL, {"model_id": model.id, "request_id": request_id}
            )
            row = session.get_one(RegisteredModel, model.id)
            self.allowances.learn(row, total.scalar_one(), ended)
