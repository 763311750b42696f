"""Every pair of states: what the drawing in `models/records/states.py` allows, and nothing else."""

from enum import StrEnum
from itertools import product

import pytest

from models.errors import IllegalTransition
from models.records import (
    DeletionItem,
    DeletionRequest,
    ModelState,
    Outcome,
    RegisteredModel,
    RequestState,
    RunState,
    UnlearningRun,
)
from models.records.base import Base
from models.records.states import TRANSITIONS, check_transition

# Written out a second time, so that a slip in the product's table does not go unseen.
LEGAL: dict[type[StrEnum], set[tuple[str, str]]] = {
    ModelState: {
        ("enrolling", "active"),
        ("enrolling", "enrolment_failed"),
        ("enrolment_failed", "enrolling"),
        ("enrolment_failed", "retired"),
        ("active", "retired"),
    },
    RequestState: {("pending", "settled"), ("pending", "cancelled")},
    Outcome: {
        ("pending", "forgotten"),
        ("pending", "weakened"),
        ("pending", "already_forgotten"),
        ("pending", "predicted"),
        ("pending", "rejected"),
        ("pending", "failed"),
        ("pending", "quarantined"),
        ("pending", "cancelled"),
    },
    RunState: {
        ("running", "published"),
        ("running", "no_detectable_influence"),
        ("running", "published_short"),
        ("running", "nothing_to_do"),
        ("running", "predicted"),
        ("running", "needs_review"),
        ("needs_review", "approved"),
        ("needs_review", "rejected"),
        ("running", "failed"),
        ("running", "abandoned"),
        ("running", "cancelled"),
    },
}
RECORDS: dict[type[StrEnum], tuple[type[Base], str]] = {
    ModelState: (RegisteredModel, "state"),
    RequestState: (DeletionRequest, "state"),
    Outcome: (DeletionItem, "outcome"),
    RunState: (UnlearningRun, "state"),
}
PAIRS = [pair for states in LEGAL for pair in product(states, states) if pair[0] is not pair[1]]
MEMBERS = [member for states in LEGAL for member in states]


def test_no_other_enum_has_transitions() -> None:
    assert set(TRANSITIONS) == set(LEGAL)


def _name(state: StrEnum) -> str:
    return f"{type(state).__name__}.{state.name}"


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=_name)
def test_a_transition_is_made_or_refused_as_drawn(before: StrEnum, after: StrEnum) -> None:
    record_class, attribute = RECORDS[type(before)]
    record = record_class(**{attribute: before})
    if (before.value, after.value) in LEGAL[type(before)]:
        assert check_transition(before, after) is after
        setattr(record, attribute, after)
        assert getattr(record, attribute) is after
        return
    with pytest.raises(IllegalTransition, match=f"{before} cannot become {after}"):
        check_transition(before, after)
    with pytest.raises(IllegalTransition):
        setattr(record, attribute, after)
    assert getattr(record, attribute) is before


@pytest.mark.parametrize("state", MEMBERS, ids=_name)
def test_staying_in_a_state_is_no_transition(state: StrEnum) -> None:
    assert check_transition(state, state) is state


@pytest.mark.parametrize("state", MEMBERS, ids=_name)
def test_a_new_record_may_be_in_any_state(state: StrEnum) -> None:
    assert check_transition(None, state) is state


def test_a_word_that_two_enums_share_is_judged_by_its_own_enum() -> None:
    # `RunState.FAILED == Outcome.FAILED`, as strings go.
    with pytest.raises(IllegalTransition, match="RunState"):
        check_transition(RunState.FAILED, RunState.RUNNING)
    assert check_transition(Outcome.PENDING, Outcome.FAILED) is Outcome.FAILED
    assert check_transition(RequestState.PENDING, RequestState.SETTLED) is RequestState.SETTLED
