"""The states of every record and the only transitions between them.

    registered model   enrolling ─▶ active ─▶ retired
                           └──────▶ enrolment_failed ─▶ enrolling   (posted again)
                                           └──────────▶ retired

    deletion request   pending ─▶ settled
                           └────▶ cancelled

    deletion item      pending ─▶ forgotten | weakened | already_forgotten | predicted
                           └────▶ rejected | failed | quarantined | cancelled
                       unknown (from birth)

    run                running ─▶ published | no_detectable_influence | published_short
                           ├────▶ nothing_to_do | predicted | failed | abandoned | cancelled
                           └────▶ needs_review ─▶ approved | rejected

States that no arrow leaves are final. An approved run is carried out by another one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from models.errors import IllegalTransition

State = TypeVar("State", bound=StrEnum)


class ModelState(StrEnum):
    """Where a registered model stands, from its enrolment to its end."""

    ENROLLING = "enrolling"
    ACTIVE = "active"
    ENROLMENT_FAILED = "enrolment_failed"
    RETIRED = "retired"


class RequestState(StrEnum):
    """Whether every item of a deletion request has its outcome."""

    PENDING = "pending"
    SETTLED = "settled"
    CANCELLED = "cancelled"


class RequestMode(StrEnum):
    """Whether samples are to be forgotten, or it is only to be said what that would cost."""

    DELETE = "delete"
    DRY_RUN = "dry_run"


class Outcome(StrEnum):
    """What became of one sample ID of a deletion request.

    `weakened` samples are dampened for, and the network still shows that it has seen them.
    `quarantined` ones made every run fail that tried to forget them.
    """

    PENDING = "pending"
    FORGOTTEN = "forgotten"
    WEAKENED = "weakened"
    ALREADY_FORGOTTEN = "already_forgotten"
    PREDICTED = "predicted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """How a run ended, or that it has not."""

    RUNNING = "running"
    PUBLISHED = "published"
    NO_DETECTABLE_INFLUENCE = "no_detectable_influence"
    PUBLISHED_SHORT = "published_short"
    NOTHING_TO_DO = "nothing_to_do"
    PREDICTED = "predicted"
    NEEDS_REVIEW = "needs_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    FAILED = "failed"
    ABANDONED = "abandoned"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """The steps of a run, in the order in which `workers/pipeline.py` takes them."""

    CLAIM = "claim"
    LOAD = "load"
    WEIGH = "weigh"
    TUNE = "tune"
    VERIFY = "verify"
    STORE = "store"
    PUBLISH = "publish"


class Split(StrEnum):
    """Whether the network was trained on a sample, or it is kept aside for verification."""

    TRAIN = "train"
    HOLDOUT = "holdout"


class SumsKind(StrEnum):
    """What Fisher sums were taken over: all training samples, those of a label, or of these the
    forgotten ones.
    """

    FULL = "full"
    LABEL = "label"
    FORGET = "forget"


# Keyed by the enum first: members of different enums with the same word compare equal.
TRANSITIONS: Mapping[type[StrEnum], Mapping[StrEnum, frozenset[StrEnum]]] = {
    ModelState: {
        ModelState.ENROLLING: frozenset({ModelState.ACTIVE, ModelState.ENROLMENT_FAILED}),
        ModelState.ACTIVE: frozenset({ModelState.RETIRED}),
        ModelState.ENROLMENT_FAILED: frozenset({ModelState.ENROLLING, ModelState.RETIRED}),
    },
    RequestState: {
        RequestState.PENDING: frozenset({RequestState.SETTLED, RequestState.CANCELLED}),
    },
    Outcome: {
        Outcome.PENDING: frozenset(Outcome) - {Outcome.PENDING, Outcome.UNKNOWN},
    },
    RunState: {
        RunState.RUNNING: frozenset(RunState)
        - {RunState.RUNNING, RunState.APPROVED, RunState.REJECTED},
        RunState.NEEDS_REVIEW: frozenset({RunState.APPROVED, RunState.REJECTED}),
    },
}


def check_transition(before: State | None, after: State) -> State:
    """Return `after` if a record in `before` may go there; `None` is a record being made."""
    legal = TRANSITIONS[type(after)].get(before, frozenset()) if before is not None else None
    if legal is not None and before != after and after not in legal:
        raise IllegalTransition(f"{type(after).__name__}: {before} cannot become {after}.")
    return after
