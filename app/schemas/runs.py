"""Runs, as admins poll them."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.meanings import RUN_STATES, explained
from app.schemas.polling import Pollable
from models.documents import Decision, Review, Verdict
from models.records import Phase, RequestMode, RunState
from models.specifications.base import Integer

# Printable, one line, and not only spaces.
_SIGN = r"[^\x00-\x1f\x7f-\x9f]"
REASON = rf"^{_SIGN}*[^\x00-\x1f\x7f-\x9f\s]{_SIGN}*$"
# A run of very many cohorts may have a reason for each.
MOST_REASONS = 10


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


class VerdictSummary(BaseModel):
    """What a verdict says in short."""

    outcome: Decision
    reasons: list[str] = Field(
        description=f"Why no more has come of it; the first {MOST_REASONS} if there are more."
    )
    rung: int | None = Field(description="Its candidate, by its place in the ladder.")


class Run(Pollable):
    """One attempt of a worker at one batch of items, without its verdict."""

    id: uuid.UUID
    model: str
    mode: RequestMode
    state: RunState = Field(description=explained(RUN_STATES))
    phase: Phase
    attempt: int = Field(description="1 for items tried for the first time.")
    items: int
    waiting: int = Field(
        description="Items that are still pending and belong to it. A run in `needs_review` of "
        "which none wait has nothing to decide any more: another run has taken them up, or they "
        "were withdrawn."
    )
    worker: str
    parent_version: int
    version: int | None = Field(description="The checkpoint that was published, if one was.")
    progress: ProgressView | None
    timings: dict[str, float] = Field(description="Seconds per phase.")
    review: Review | None = Field(description="What a person has decided.")
    carries_out: uuid.UUID | None = Field(
        description="The run that was held for review, if this one carries out its approval."
    )
    failure: FailureView | None
    death: dict[str, int | None] | None = Field(
        description="If its process died and that was seen: signal, exit_status, peak_bytes."
    )
    cancel_requested_at: datetime | None = Field(description="When it was asked to stop.")
    created_at: datetime
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether the run is in a final state."""
        return self.state is not RunState.RUNNING


class RunView(Run):
    """One attempt of a worker at one batch of items."""

    verdict: Verdict | None


class RunEntry(Run):
    """One run of a list."""

    verdict: VerdictSummary | None = Field(description="In short; the run itself has all of it.")


class RunPage(BaseModel):
    """Runs, newest first."""

    runs: list[RunEntry]
    next: str | None


class NewApproval(BaseModel):
    """Which candidate of the run's ladder is to be published."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rung": 2}]})

    rung: Integer = Field(ge=0, description="Its place in `verdict.ladder`, from 0.")


class NewRejection(BaseModel):
    """Why nothing is to be published."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "Retrained without them on Friday."}]},
    )

    reason: str = Field(
        min_length=1,
        max_length=400,
        pattern=REASON,
        description="Shown with the items. Printable, one line.",
    )
