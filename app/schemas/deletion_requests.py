"""Deletion requests and their items."""

import re
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
)

from app.schemas.meanings import OUTCOMES, RUN_STATES, explained
from app.schemas.polling import Pollable
from models.records import Outcome, Phase, RequestMode, RunState
from models.records.sample import MAX_SAMPLE_ID, SAMPLE_ID
from models.specifications import MODEL_NAME

SampleId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_SAMPLE_ID, pattern=SAMPLE_ID, strict=True),
]


def _written_out(moment: Any) -> Any:
    # A number would be taken for seconds since 1970, even if it is a text.
    if isinstance(moment, str) and re.match(r"\d{4}-\d\d-\d\d", moment):
        return moment
    raise ValueError("is no time as RFC 3339 writes it, such as 2030-01-31T12:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the years 1 to 9999 in UTC") from None


Deadline = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]


class NewDeletionRequest(BaseModel):
    """Samples to forget. Every ID gets its own outcome: a bad one does not sink the rest."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model": "digits",
                    "sample_ids": ["digit-12", "digit-340"],
                    "reference": "ticket-4711",
                }
            ]
        },
    )

    model: Annotated[str, Field(pattern=MODEL_NAME, description="Name of a registered model.")]
    # The first that is wrong is enough: what is kept of each takes a hundred times its size.
    sample_ids: Annotated[
        list[SampleId], FailFast(), Field(min_length=1, description="IDs of training samples.")
    ]
    mode: Annotated[
        RequestMode,
        Field(
            description="`dry_run` carries out everything but the publication: its run says what "
            "the deletion would cost, and whether it would pass."
        ),
    ] = RequestMode.DELETE
    reference: Annotated[
        str | None,
        Field(max_length=255, pattern=SAMPLE_ID, description="Your own name for the request."),
    ] = None
    deadline: Annotated[
        Deadline | None, Field(description="When it must be done; kept and shown.")
    ] = None


Counts = dict[Outcome, int]


class AcceptedRequest(BaseModel):
    """The answer to an accepted request; a repetition with its key gets the same one."""

    id: uuid.UUID = Field(description="Where to follow it: `/v1/deletion-requests/{id}`.")
    model: str = Field(description="Name of the registered model.")
    mode: RequestMode
    status: Literal["pending", "settled"] = Field(
        description="`settled` if every ID is unknown or forgotten already."
    )
    reference: str | None = Field(description="Your own name for it.")
    created_at: datetime
    counts: Counts = Field(description="Items by outcome, as of acceptance.")
    duplicates: int = Field(description="IDs that repeated an earlier one in the same request.")


class RunSummary(BaseModel):
    """The latest run that took up items of the request."""

    id: uuid.UUID
    state: RunState = Field(description=explained(RUN_STATES))
    phase: Phase = Field(description="The step that it is at, or ended at.")
    href: str = Field(description="Path of the run; it takes a key with the scope `admin`.")


class CheckpointSummary(BaseModel):
    """The first checkpoint by which all that the request could forget is forgotten."""

    version: int = Field(description="Its number; the base is 0.")
    href: str = Field(description="Path of the checkpoint.")


class RequestStatus(StrEnum):
    """Where a request stands, with what its latest run says.

    `pending`: it waits for a run. `running`: one is at it. `needs_review`: a person must decide on
    one. `settled`: every item has its outcome. `cancelled`: it was withdrawn.
    """

    PENDING = "pending"
    RUNNING = "running"
    NEEDS_REVIEW = "needs_review"
    SETTLED = "settled"
    CANCELLED = "cancelled"


class DeletionRequestView(Pollable):
    """A deletion request as it stands."""

    id: uuid.UUID
    model: str = Field(description="Name of the registered model.")
    mode: RequestMode
    status: RequestStatus
    reference: str | None = Field(description="Your own name for it.")
    deadline: datetime | None = Field(description="When it must be done, as it was posted.")
    overdue_since: datetime | None = Field(
        description="Since when it has been known that the deadline was missed."
    )
    created_at: datetime
    settled_at: datetime | None = Field(description="When its last item got its outcome.")
    cancel_requested_at: datetime | None = Field(
        description="When it was withdrawn, if a run was under way that has to stop first."
    )
    counts: Counts = Field(description="Items by outcome, without zeros.")
    duplicates: int = Field(description="IDs that repeated an earlier one in the same request.")
    run: RunSummary | None = Field(description="Null until one has taken items up.")
    checkpoint: CheckpointSummary | None = Field(description="Null until something is forgotten.")

    @property
    def ended(self) -> bool:
        """Whether only a person or a new request can change it."""
        return self.status not in (RequestStatus.PENDING, RequestStatus.RUNNING)


class ItemView(BaseModel):
    """One sample ID and what became of it."""

    sample_id: str
    outcome: Outcome = Field(description=explained(OUTCOMES))
    reason: str | None = Field(description="Why, if it could not be forgotten.")
    version: int | None = Field(
        description="The first checkpoint version that was dampened for it. Of a sample that the "
        "network was not trained on: the one that was current then."
    )
    settled_at: datetime | None = Field(description="When it got its outcome.")


class ItemPage(BaseModel):
    """Items in the order in which they were posted."""

    items: list[ItemView]
    next: str | None = Field(description="Cursor of the next page, if there is one.")


def counts_from(rows: Any) -> Counts:
    """Outcomes and their numbers, in the order of the enum, without zeros."""
    found = {Outcome(outcome): count for outcome, count in rows}
    return {outcome: found[outcome] for outcome in Outcome if found.get(outcome)}
