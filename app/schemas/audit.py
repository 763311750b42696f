"""Audit records."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class AuditView(BaseModel):
    """One event; it never changes."""

    sequence: int
    recorded_at: datetime
    event: str = Field(examples=["checkpoint.published"])
    actor: str
    model: str | None
    request: uuid.UUID | None
    run: uuid.UUID | None
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Events in the order in which they happened."""

    records: list[AuditView]
    next: str | None
