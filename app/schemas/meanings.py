"""What outcomes and states mean, as clients read it; docs/operating.md says what to do."""

from collections.abc import Mapping
from typing import Any

from models.records import Outcome, RunState

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.PENDING: "waits for a run, or for a person to review one",
    Outcome.FORGOTTEN: "dampened for, and the tests used find no sign of it; the run's state says "
    "how much that means. Of a sample that the network was never trained on: there was nothing to "
    "forget, and no later run looks at it",
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
    RunState.PUBLISHED: "influence of some of its samples was seen, and by the same tests it is "
    "gone (its cohorts say of which); or a person approved the damage",
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


def explained(meanings: Mapping[Any, str]) -> str:
    """All of them in a sentence, for the description of a field."""
    return "; ".join(f"`{value.value}`: {meaning}" for value, meaning in meanings.items()) + "."
