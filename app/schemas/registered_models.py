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

    version: int = Field(description="Counted from the base, which is 0.")
    parent_version: int | None = Field(description="The version before it; null for the base.")
    sha256: str = Field(description="Of the file, in hexadecimal; its ETag is the same.")
    size: int = Field(description="Bytes.")
    forgotten: int = Field(
        description="Training samples that it is dampened for, and that it does not give away by "
        "the tests used."
    )
    weakened: int = Field(
        description="Training samples that it is dampened for, and may give away."
    )
    run: uuid.UUID | None = Field(description="The run that published it; null for the base.")
    created_at: datetime
    withdrawn_at: datetime | None = Field(
        description="Since when it is no longer served, because a later version has forgotten "
        "samples that it carries."
    )
    file: str = Field(description="Path of the download.")


class CheckpointList(BaseModel):
    """All versions, newest first."""

    checkpoints: list[CheckpointView]


class ShareView(BaseModel):
    """A share of samples, with its 95 % interval."""

    value: float = Field(description="From 0 to 1.")
    count: int = Field(description="Samples that it was counted on.")
    low: float = Field(description="Lower end of the interval.")
    high: float = Field(description="Upper end of the interval.")


class BaseAccuracyView(BaseModel):
    """How much the network recognised when it was enrolled, every label counting alike.

    If that is much less than it is known for, its preprocessing or labels are not what it was
    trained with.
    """

    train: ShareView = Field(description="Of training samples.")
    holdout: ShareView | None = Field(
        default=None, description="Of unseen samples, if there are any."
    )


class ModelView(Pollable):
    """A registered model."""

    id: uuid.UUID
    name: str
    state: ModelState = Field(
        description="`enrolling`: a worker checks it and computes its sums. `active`: it takes "
        "deletion requests. `enrolment_failed`: see `failure`; the name can be used again. "
        "`retired`: its weights and sums are deleted."
    )
    architecture: ArchitectureSpec
    dataset: dict[str, Any] = Field(description="Where its samples are, as it was enrolled.")
    preprocessing: Preprocessing
    policy: Policy = Field(description="How deletions are carried out and judged.")
    policy_version: int = Field(description="Counts the policies that it has had, from 1.")
    retraining_advised: bool = Field(
        description="Whether deletions have done all the damage that the policy lets them do, or "
        "no setting was harmless that a search has tried. `/exclusions` lists what to retrain "
        "without."
    )
    head_version: int | None = Field(
        description="The version that is served; null until enrolled, and once retired."
    )
    training_samples: int = Field(description="What the base was trained on; 0 until enrolled.")
    holdout_samples: int = Field(description="Unseen samples to compare with; 0 until enrolled.")
    manifest_digest: str | None = Field(
        description="SHA-256 of all sample IDs, labels and splits in their order."
    )
    base_accuracy: BaseAccuracyView | None = Field(
        description="What the base recognises of a few hundred samples; once it is enrolled."
    )
    progress: ProgressView | None = Field(description="While it is being enrolled.")
    failure: FailureView | None = Field(description="If it could not be enrolled.")
    created_at: datetime
    enrolled_at: datetime | None = Field(description="Since when it has been active.")
    retired_at: datetime | None = Field(description="Since when it has been no more.")

    @property
    def ended(self) -> bool:
        """Whether the enrolment is over."""
        return self.state is not ModelState.ENROLLING


class ModelList(BaseModel):
    """All registered models by name."""

    models: list[ModelView]


class PolicyView(BaseModel):
    """A policy, and its number among all that the registered model has had."""

    version: int = Field(description="Counted from 1.")
    policy: Policy


class Exclusion(BaseModel):
    """One line of the list of what to retrain a network without."""

    sample_id: str
    state: Literal["forgotten", "weakened", "rejected", "quarantined", "failed", "pending"]


class SampleView(BaseModel):
    """One sample and whether it has been dampened for."""

    sample_id: str
    state: Literal["retained", "forgotten", "weakened"] = Field(
        description="`retained`: nothing has been done about it. `forgotten`: dampened for, and "
        "the tests used find no sign of it. `weakened`: dampened for, but the network still shows "
        "that it has seen it, or that cannot be told."
    )
    split: Split = Field(description="Whether the network was trained on it.")
    label: int
    forgotten_version: int | None = Field(
        description="The first version that was dampened for it. Of a sample that the network was "
        "not trained on: the one that was current then."
    )
    forgotten_at: datetime | None
