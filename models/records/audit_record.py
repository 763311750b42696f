"""What happened, in order, for ever: the database refuses to change or remove these rows."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from models.records.base import Base, Json


class AuditRecord(Base):
    """One event. `details` holds counts, versions and digests, never a sample ID."""

    __tablename__ = "audit_record"
    __table_args__ = (Index("ix_audit_record_model_id_sequence", "model_id", "sequence"),)

    sequence: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    event: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(String(128))
    model_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("registered_model.id"))
    request_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("deletion_request.id"))
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("unlearning_run.id"))
    details: Mapped[Json]
