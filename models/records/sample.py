"""One training or holdout example of a registered model: retained, or forgotten."""

import uuid
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    CollectionAggregate,
    ForeignKey,
    Index,
    String,
    Text,
    any_,
    cast,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.records.base import Base, enum_column
from models.records.states import Split

MAX_SAMPLE_ID = 255
# Printable: no C0 or C1 control character, no DEL.
SAMPLE_ID = r"^[^\x00-\x1f\x7f-\x9f]+$"


class Sample(Base):
    """`position` is the sample's index in its dataset; `forgotten_version` NULL means retained.

    `probe_rank` is a seeded random order, fixed at enrolment: the lowest ranks of each label make
    a stratified probe that an index delivers without reading the whole table, of retained samples
    or of forgotten ones.
    """

    __tablename__ = "sample"
    __table_args__ = (
        Index(
            "ix_sample_probe",
            "model_id",
            "split",
            "label",
            "probe_rank",
            postgresql_where=text("forgotten_version IS NULL"),
        ),
        Index(
            "ix_sample_forgotten",
            "model_id",
            "split",
            "label",
            "probe_rank",
            postgresql_where=text("forgotten_version IS NOT NULL"),
        ),
    )

    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("registered_model.id"), primary_key=True)
    sample_id: Mapped[str] = mapped_column(String(MAX_SAMPLE_ID), primary_key=True)
    position: Mapped[int]
    label: Mapped[int]
    split: Mapped[Split] = mapped_column(enum_column(Split))
    probe_rank: Mapped[int]
    forgotten_version: Mapped[int | None]
    forgotten_at: Mapped[datetime | None]
    # Dampened for from `forgotten_version` on, and still noticeable.
    weakened: Mapped[bool] = mapped_column(server_default=false())


def any_of(sample_ids: Collection[str]) -> CollectionAggregate[bool]:
    """For queries: to compare a column of sample IDs with all of these at once.

    One array instead of a parameter each, of which PostgreSQL takes 65 535 at most.
    """
    return any_(cast(list(sample_ids), ARRAY(Text)))
