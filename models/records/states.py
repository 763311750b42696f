"""The states of every record and the only transitions between them.

    registered model   enrolling ─▶ active
                           └──────▶ enrolment_failed ─▶ enrolling   (posted again)

    deletion request   pending ─▶ settled
                           └────▶ cancelled

    deletion item      pending ─▶ forgotten | already_forgotten | failed | cancelled
                       unknown (from birth)

    run                running ─▶ published | nothing_to_do | needs_review | failed | abandoned

States that no arrow leaves are final.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from models.errors import IllegalTransition

State = TypeVar("State", bound=StrEnum)


class ModelState(StrEnum):
    """Where a registered model's enrolment stands."""

    ENROLLING = "enrolling"
    ACTIVE = "active"
    ENROLMENT_FAILED = "enrolment_failed"


class RequestState(StrEnum):
    """Whether every item of a deletion request has its outcome."""

    PENDING = "pending"
    SETTLED = "settled"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What became of one sample ID of a deletion request."""

    PENDING = "pending"
    FORGOTTEN = "forgotten"
    ALREADY_FORGOTTEN = "already_forgotten"
    UNKNOWN = "unknown"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """How a run ended, or that it has not."""

    RUNNING = "running"
    PUBLISHED = "published"
    NOTHING_TO_DO = "nothing_to_do"
    NEEDS_REVIEW = "needs_review"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Phase(StrEnum):
    """The steps of a run, in order; the functions of `workers/pipeline.py` have these names."""

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
    """What Fisher sums were taken over: the whole training set, or forgotten samples."""

    FULL = "full"
    FORGET = "forget"


# Keyed by the enum first: members of different enums with the same word compare equal.
TRANSITIONS: Mapping[type[StrEnum], Mapping[StrEnum, frozenset[StrEnum]]] = {
    ModelState: {
        ModelState.ENROLLING: frozenset({ModelState.ACTIVE, ModelState.ENROLMENT_FAILED}),
        ModelState.ENROLMENT_FAILED: frozenset({ModelState.ENROLLING}),
    },
    RequestState: {
        RequestState.PENDING: frozenset({RequestState.SETTLED, RequestState.CANCELLED}),
    },
    Outcome: {
        Outcome.PENDING: frozenset(
            {Outcome.FORGOTTEN, Outcome.ALREADY_FORGOTTEN, Outcome.FAILED, Outcome.CANCELLED}
        ),
    },
    RunState: {
        RunState.RUNNING: frozenset(
            {
                RunState.PUBLISHED,
                RunState.NOTHING_TO_DO,
                RunState.NEEDS_REVIEW,
                RunState.FAILED,
                RunState.ABANDONED,
            }
        ),
    },
}


def check_transition(before: State | None, after: State) -> State:
    """Return `after` if a record in `before` may go there; `None` is a record being made."""
    legal = TRANSITIONS[type(after)].get(before, frozenset()) if before is not None else None
    if legal is not None and before != after and after not in legal:
        raise IllegalTransition(f"{type(after).__name__}: {before} cannot become {after}.")
    return after
