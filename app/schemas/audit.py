"""Audit records."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class AuditView(BaseModel):
    """One event; it never changes."""

    sequence: int = Field(description="Higher than that of every record before; some are left out.")
    recorded_at: datetime
    event: str = Field(examples=["checkpoint.published"])
    actor: str
    model: str | None
    request: uuid.UUID | None
    run: uuid.UUID | None
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Events in the order of their numbers."""

    records: list[AuditView] = Field(description="None, if there is nothing more for now.")
    next: str = Field(
        description="The cursor to go on from, on every page. After the last one it is kept, and "
        "brings what has happened since."
    )
