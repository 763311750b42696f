"""Runs, as admins poll them."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.polling import Pollable
from models.records import Phase, RunState


class ProgressView(BaseModel):
    """How far a long step is."""

    phase: str
    done: int
    total: int
    eta_s: float | None = Field(description="Seconds left at the present rate.")


class FailureView(BaseModel):
    """Why something failed."""

    kind: str
    detail: str


class RunView(Pollable):
    """One attempt of a worker at one batch of items."""

    id: uuid.UUID
    model: str
    state: RunState
    phase: Phase
    attempt: int = Field(description="1 for items tried for the first time.")
    items: int
    worker: str
    parent_version: int
    version: int | None = Field(description="The checkpoint that was published, if one was.")
    progress: ProgressView | None
    timings: dict[str, float] = Field(description="Seconds per phase.")
    verdict: dict[str, Any] | None = Field(
        description="Figures before and after, cohorts with their α and λ, weights dampened per "
        "layer, and what speaks against publishing."
    )
    failure: FailureView | None
    created_at: datetime
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether the run is in a final state."""
        return self.state is not RunState.RUNNING


class RunPage(BaseModel):
    """Runs, newest first."""

    runs: list[RunView]
    next: str | None
