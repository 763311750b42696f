"""When a stored file was last read to see that it is whole, and what was wrong with it."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from models.records.base import Base


class ArtifactCheck(Base):
    """One row for every artifact that the steward scrubs; `fault` NULL means whole."""

    __tablename__ = "artifact_check"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int]
    checked_at: Mapped[datetime | None]
    fault: Mapped[str | None] = mapped_column(String(500))
