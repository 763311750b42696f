"""One sample ID of a deletion request, with its own outcome."""

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, String, and_, func, or_, text
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column, validates

from models.records.base import Base, enum_column
from models.records.sample import MAX_SAMPLE_ID
from models.records.states import Outcome, check_transition

# Longer reasons are cut.
MAX_REASON = 500


class DeletionItem(Base):
    """A pending item with a `run_id` is being worked on, or waits for a person's review.

    Pending items without one are what the next run takes.
    """

    __tablename__ = "deletion_item"
    __table_args__ = (
        Index("ix_deletion_item_pending", "model_id", postgresql_where=text("outcome = 'pending'")),
        Index(
            "ix_deletion_item_run",
            "run_id",
            "sample_id",
            postgresql_where=text("run_id IS NOT NULL"),
        ),
    )

    request_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("deletion_request.id"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("registered_model.id"))
    sample_id: Mapped[str] = mapped_column(String(MAX_SAMPLE_ID))
    outcome: Mapped[Outcome] = mapped_column(enum_column(Outcome))
    reason: Mapped[str | None] = mapped_column(String(MAX_REASON))
    # Runs that took it and failed; how many of these failures it may have caused itself; how many
    # were lost with their worker.
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    blame: Mapped[int] = mapped_column(server_default=text("0"))
    losses: Mapped[int] = mapped_column(server_default=text("0"))
    # After a failure: not before this time.
    retry_at: Mapped[datetime | None]
    # While it is found out which item makes runs fail: the group that a run takes by itself.
    suspects: Mapped[uuid.UUID | None]
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("unlearning_run.id"))
    version: Mapped[int | None]
    settled_at: Mapped[datetime | None]

    @validates("outcome")
    def _legal(self, _key: str, after: Outcome) -> Outcome:
        return check_transition(self.outcome, after)


def pending_of(run_id: uuid.UUID | InstrumentedAttribute[uuid.UUID]) -> ColumnElement[bool]:
    """For queries: items of that run which have no outcome yet."""
    return and_(DeletionItem.run_id == run_id, DeletionItem.outcome == Outcome.PENDING)


def rested() -> ColumnElement[bool]:
    """For queries: items whose pause after a failure, if there was one, is over."""
    return or_(DeletionItem.retry_at.is_(None), DeletionItem.retry_at <= func.now())
