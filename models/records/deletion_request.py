"""What a client posted: forget these samples of this registered model."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from models.records.base import Base, Json, enum_column
from models.records.states import RequestMode, RequestState, check_transition


class DeletionRequest(Base):
    """One accepted request; its sample IDs are its items."""

    __tablename__ = "deletion_request"
    __table_args__ = (
        UniqueConstraint("principal", "idempotency_key"),
        Index(
            "ix_deletion_request_pending", "model_id", postgresql_where=text("state = 'pending'")
        ),
        Index(
            "ix_deletion_request_deadline",
            "deadline",
            postgresql_where=text("state = 'pending' AND overdue_since IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("registered_model.id"))
    state: Mapped[RequestState] = mapped_column(
        enum_column(RequestState), default=RequestState.PENDING
    )
    mode: Mapped[RequestMode] = mapped_column(enum_column(RequestMode))
    principal: Mapped[str] = mapped_column(String(64))
    reference: Mapped[str | None] = mapped_column(String(255))
    deadline: Mapped[datetime | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    body_digest: Mapped[str] = mapped_column(String(64))
    # Distinct sample IDs, and how many of the posted ones repeated an earlier one.
    item_count: Mapped[int]
    duplicate_count: Mapped[int]
    # Outcomes as of the moment of acceptance, to give a repeated request its first answer.
    accepted_counts: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    settled_at: Mapped[datetime | None]
    # A run was under way when it was withdrawn; that run carries the withdrawal out.
    cancel_requested_at: Mapped[datetime | None]
    # Whose decision that was, for the audit record.
    cancel_requested_by: Mapped[str | None] = mapped_column(String(64))
    # Since when the steward has known that the deadline was missed.
    overdue_since: Mapped[datetime | None]

    @validates("state")
    def _legal(self, _key: str, after: RequestState) -> RequestState:
        return check_transition(self.state, after)
