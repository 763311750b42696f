"""Fisher sums that are kept: over the whole training set, over each larger label of it, and over
each label's forgotten samples.

Sums of forgotten samples are kept per label because cohorts are formed by adding labels, and
which labels stand alone changes as more is forgotten.
"""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.records.base import Base, Json, enum_column
from models.records.states import SumsKind


class FisherSums(Base):
    """One stored tensor file of sums.

    `version` is the checkpoint that last added samples to it, or 0 if it is the enrolment's.
    """

    __tablename__ = "fisher_sums"
    __table_args__ = (
        UniqueConstraint("model_id", "kind", "label", postgresql_nulls_not_distinct=True),
        CheckConstraint("(kind = 'full') = (label IS NULL)", name="label"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("registered_model.id"))
    kind: Mapped[SumsKind] = mapped_column(enum_column(SumsKind))
    label: Mapped[int | None]
    version: Mapped[int]
    sample_count: Mapped[int]
    # Estimator, loss, weights and manifest digests: what two sums must share to be compared.
    provenance: Mapped[Json]
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
