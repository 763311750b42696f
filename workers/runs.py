"""What a worker knows of the run it carries out."""

import uuid
from dataclasses import dataclass

from models.documents import CohortSetting
from models.records import RequestMode, Split
from models.specifications import Enrolment, Policy


@dataclass(frozen=True)
class ForgetSample:
    """A sample that a run is to forget."""

    sample_id: str
    position: int
    label: int
    split: Split
    probe_rank: int


@dataclass(frozen=True)
class Approval:
    """A rung of another run's ladder that a person chose: α and λ by the name of the cohort.

    `cohorts` are the labels and the number of samples that each had, by its name.
    """

    by: str
    rung: int
    settings: dict[str, CohortSetting]
    cohorts: dict[str, tuple[list[int], int]]


@dataclass(frozen=True)
class Run:
    """A claimed batch: what a worker knows of it, as of the claim."""

    id: uuid.UUID
    model_id: uuid.UUID
    epoch: int
    parent_version: int
    mode: RequestMode
    enrolment: Enrolment
    policy: Policy
    policy_version: int
    # Training and holdout samples per label, before anything was forgotten.
    trained: dict[int, int]
    holdout: dict[int, int]
    # What share of training samples the base recognised at least when it was enrolled, if known.
    recognised: float | None
    # Distinct samples of the batch that are not forgotten yet.
    samples: tuple[ForgetSample, ...]
    # If it carries out what a person has decided.
    approval: Approval | None
    # Whether none of its items has been held for a review before.
    is_new: bool
    # How often it is to take half the memory, because runs just before it were killed.
    starved: int = 0
