"""Registered models, their checkpoints and samples."""

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.schemas.polling import Pollable
from app.schemas.runs import FailureView, ProgressView
from models.records import ModelState, Split
from models.specifications import ArchitectureSpec, Policy, Preprocessing


class CheckpointView(BaseModel):
    """One version of the weights."""

    version: int
    parent_version: int | None
    sha256: str
    size: int = Field(description="Bytes.")
    forgotten: int = Field(description="Training samples forgotten up to and including it.")
    run: uuid.UUID | None
    created_at: datetime
    withdrawn_at: datetime | None = Field(
        description="Since when it is no longer served, because a later version has forgotten "
        "samples that it carries."
    )
    file: str = Field(description="Path of the download.")


class CheckpointList(BaseModel):
    """All versions, newest first."""

    checkpoints: list[CheckpointView]


class ModelView(Pollable):
    """A registered model."""

    id: uuid.UUID
    name: str
    state: ModelState
    architecture: ArchitectureSpec
    dataset: dict[str, Any]
    preprocessing: Preprocessing
    policy: Policy
    policy_version: int
    retraining_advised: bool = Field(
        description="Whether deletions have done all the damage that the policy lets them do. "
        "`/exclusions` lists what to retrain without."
    )
    head_version: int | None
    training_samples: int
    holdout_samples: int
    manifest_digest: str | None
    progress: ProgressView | None = Field(description="While it is being enrolled.")
    failure: FailureView | None = Field(description="If it could not be enrolled.")
    created_at: datetime
    enrolled_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether the enrolment is over."""
        return self.state is not ModelState.ENROLLING


class ModelList(BaseModel):
    """All registered models by name."""

    models: list[ModelView]


class PolicyView(BaseModel):
    """A policy, and its number among all that the registered model has had."""

    version: int
    policy: Policy


class Exclusion(BaseModel):
    """One line of the list of what to retrain a network without."""

    sample_id: str
    state: Literal["forgotten", "weakened", "rejected", "quarantined", "failed", "pending"]


class SampleView(BaseModel):
    """One sample and whether it is still part of what the network learnt."""

    sample_id: str
    state: Literal["retained", "forgotten", "weakened"] = Field(
        description="`weakened`: dampened for, but the network still shows that it has seen it."
    )
    split: Split
    label: int
    forgotten_version: int | None = Field(description="The first version without it.")
    forgotten_at: datetime | None
