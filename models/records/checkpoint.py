"""One immutable version of a registered model's weights."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.records.base import Base


class Checkpoint(Base):
    """Versions are dense from 0 and form one line: each version has one parent, one child.

    `withdrawn_at` is set when a later version forgets a sample that this one still carries. Its
    file is collected then, unless it is the base's.
    """

    __tablename__ = "checkpoint"
    __table_args__ = (
        UniqueConstraint("model_id", "version"),
        UniqueConstraint("model_id", "parent_version"),
        CheckConstraint(
            "(version = 0 AND parent_version IS NULL) OR parent_version = version - 1",
            name="dense",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("registered_model.id"))
    version: Mapped[int]
    parent_version: Mapped[int | None]
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("unlearning_run.id"))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    # Samples that it is dampened for, and how many of them it may still give away.
    forgotten_count: Mapped[int]
    weakened_count: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    withdrawn_at: Mapped[datetime | None]
