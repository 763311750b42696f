"""Deletion requests and their items."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app.schemas.polling import Pollable
from models.records import Outcome, Phase, RequestMode, RunState
from models.records.sample import MAX_SAMPLE_ID, SAMPLE_ID
from models.specifications import MODEL_NAME

SampleId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_SAMPLE_ID, pattern=SAMPLE_ID, strict=True),
]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the years 1 to 9999 in UTC") from None


Deadline = Annotated[AwareDatetime, AfterValidator(_in_utc)]


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
    sample_ids: Annotated[
        list[SampleId], Field(min_length=1, description="IDs of training samples.")
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


# What clients read of each, in one place; docs/operating.md says what to do.
OUTCOMES: Mapping[Outcome, str] = {
    Outcome.PENDING: "waits for a run, or for a person to review one",
    Outcome.FORGOTTEN: "dampened for, and the test used finds no sign of it; the run's state says "
    "how much that means",
    Outcome.WEAKENED: "dampened for, but the network still shows that it has seen it, or that "
    "cannot be told",
    Outcome.ALREADY_FORGOTTEN: "an earlier request did it",
    Outcome.PREDICTED: "a dry run looked at it; nothing was changed",
    Outcome.REJECTED: "a person rejected the run; it stays in the network",
    Outcome.UNKNOWN: "the registered model has no sample of this ID",
    Outcome.FAILED: "it cannot be forgotten, for the `reason` given",
    Outcome.QUARANTINED: "every run that took it broke, in the end with nothing else",
    Outcome.CANCELLED: "the request was withdrawn before it was carried out",
}
RUN_STATES: Mapping[RunState, str] = {
    RunState.RUNNING: "a worker is at it",
    RunState.PUBLISHED: "influence was seen, and by the same test it is gone; or a person approved "
    "the damage",
    RunState.NO_DETECTABLE_INFLUENCE: "published as a precaution; no influence could be seen "
    "before either, and of few samples it hardly ever can",
    RunState.PUBLISHED_SHORT: "published, but some samples are only weakened",
    RunState.NOTHING_TO_DO: "no new version: the network was never trained on these samples; or "
    "they cannot be read, or are more than the policy allows, and then their items have `failed`",
    RunState.PREDICTED: "a dry run has its verdict; nothing was changed",
    RunState.NEEDS_REVIEW: "nothing is published, and a person must decide",
    RunState.APPROVED: "a person chose a rung, and another run carries it out",
    RunState.REJECTED: "a person decided that nothing is published",
    RunState.FAILED: "it broke; its items are tried again, in the end alone, or have `failed`",
    RunState.ABANDONED: "its worker died, or had to stop; its items are tried again",
    RunState.CANCELLED: "it was asked to stop; items that were not withdrawn go into another run",
}


def _explained(meanings: Mapping[Any, str]) -> str:
    return "; ".join(f"`{value.value}`: {meaning}" for value, meaning in meanings.items()) + "."


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
    state: RunState = Field(description=_explained(RUN_STATES))
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
    outcome: Outcome = Field(description=_explained(OUTCOMES))
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
