"""A trained network under management: its architecture, dataset, policy and head version."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from models.records.base import Base, Json, enum_column
from models.records.states import ModelState, Split, check_transition


class RegisteredModel(Base):
    """One row per network. Version 0 is the base; `head_version` is what is served."""

    __tablename__ = "registered_model"
    __table_args__ = (
        CheckConstraint("(state = 'active') = (head_version IS NOT NULL)", name="head"),
        CheckConstraint("(digests_sha256 IS NULL) = (digests_size IS NULL)", name="digests"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[ModelState] = mapped_column(enum_column(ModelState), default=ModelState.ENROLLING)
    # What was asked for: an `Enrolment` (models/specifications), as JSON.
    specification: Mapped[Json]
    policy: Mapped[Json]
    # Counts the policies; the audit log has the earlier ones.
    policy_version: Mapped[int] = mapped_column(server_default=text("1"))
    head_version: Mapped[int | None]
    # Known once enrolled: {"train": {label: count}, "holdout": {label: count}}.
    label_counts: Mapped[Json | None]
    # What the base recognised when it was enrolled, of equally many samples of every label:
    # {"train": estimate, "holdout": estimate}, each {"value", "count", "low", "high"}.
    base_accuracy: Mapped[Json | None]
    manifest_digest: Mapped[str | None] = mapped_column(String(64))
    # The file with a digest of every image; none if it was enrolled before there were any.
    digests_sha256: Mapped[str | None] = mapped_column(String(64))
    digests_size: Mapped[int | None]
    # While enrolling: {"phase", "done", "total", "eta_s"}.
    progress: Mapped[Json | None]
    # Times that a worker has begun its enrolment.
    enrolment_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    # If enrolment failed: {"kind", "detail"}.
    failure: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    enrolled_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.clock_timestamp()
    )

    def counts(self, split: Split) -> dict[int, int]:
        """Samples per label, before anything was forgotten; none until it is enrolled."""
        of_split = (self.label_counts or {}).get(split.value, {})
        # The keys of a JSON object are strings.
        return {int(label): count for label, count in of_split.items()}

    @property
    def training_samples(self) -> int:
        """All of them, before anything was forgotten."""
        return sum(self.counts(Split.TRAIN).values())

    @property
    def holdout_samples(self) -> int:
        """All of them, before anything was forgotten."""
        return sum(self.counts(Split.HOLDOUT).values())

    @validates("state")
    def _legal(self, _key: str, after: ModelState) -> ModelState:
        return check_transition(self.state, after)
