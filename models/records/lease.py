"""Who may write for a registered model: one holder at a time, fenced by an epoch."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from models.records.base import Base


class Lease(Base):
    """The epoch grows with every holder, and when the lease is taken away from one.

    Expiry is in the database's time.
    """

    __tablename__ = "lease"

    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("registered_model.id"), primary_key=True)
    epoch: Mapped[int]
    holder: Mapped[str | None] = mapped_column(String(128))
    expires_at: Mapped[datetime]
