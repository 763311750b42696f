"""A run that is held: what does not keep it from passing is tried without what does."""

import uuid

import pytest

from app.reviews import approve
from app.withdrawals import withdraw
from models.doorbell import Job
from models.errors import RunNotHeld
from models.records import DeletionRequest, Outcome, RunState
from tests.conftest import Digits, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import outcomes
from tests.integration.workers.test_pipeline import training_ids
from workers import pipeline
from workers.transactions.claims import claim


@pytest.fixture(autouse=True)
def _default_policy(story: Story) -> None:
    story.set_policy()


def worked(story: Story) -> None:
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(story.resources.settings)


def parted(story: Story, digits: Digits) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """What is held, what is to be tried without it, and the run that has parted them."""
    story.set_policy(method={"method": "fixed", "alpha": 22})
    requests = story.post(training_ids(digits, 5)), story.post(training_ids(digits, 0))
    # One run only, as if the next had not come to its turn yet.
    run = claim(story.model().id, story.resources)
    assert run is not None
    pipeline.unlearn(run, story.resources)
    return *requests, run.id


def test_a_class_does_not_wait_for_what_came_with_it_and_cannot_be_forgotten(
    story: Story, digits: Digits
) -> None:
    # An α that is enough for class 0, and not for class 5.
    story.set_policy(method={"method": "fixed", "alpha": 22})
    fives, zeros = training_ids(digits, 5), training_ids(digits, 0)
    hopeless, passing = story.post(fives), story.post(zeros)
    worked(story)
    both, alone, *again = story.runs()
    assert (both.item_count, both.state) == (len(fives), RunState.NEEDS_REVIEW)
    assert both.verdict is not None
    assert both.verdict.parted == len(zeros)
    assert "are tried by themselves" in both.verdict.remarks[0]
    assert (alone.item_count, alone.state) == (len(zeros), RunState.PUBLISHED)
    assert outcomes(story.database, passing) == {Outcome.FORGOTTEN: len(zeros)}
    # Judged again, as the head has moved; what remains of it waits for a person.
    assert [(run.item_count, run.state) for run in again] == [(len(fives), RunState.NEEDS_REVIEW)]
    assert outcomes(story.database, hopeless) == {Outcome.PENDING: len(fives)}


def test_what_is_tried_in_parts_cannot_be_approved_as_a_whole(story: Story, digits: Digits) -> None:
    _, _, run_id = parted(story, digits)
    with (
        pytest.raises(RunNotHeld, match="tried without the others"),
        story.database.transaction() as session,
    ):
        approve(session, run_id, 0, "admin")


def test_what_is_left_of_a_parting_is_judged_again_though_the_others_are_withdrawn(
    story: Story, digits: Digits
) -> None:
    hopeless, others, _ = parted(story, digits)
    withdrawn(story, others)
    worked(story)
    _, alone = story.runs()
    assert (alone.item_count, alone.state) == (56, RunState.NEEDS_REVIEW)
    assert alone.verdict is not None
    assert alone.verdict.parted == 0
    # And that once.
    worked(story)
    assert len(story.runs()) == 2
    with story.database.transaction() as session:
        approve(session, alone.id, alone.verdict.rung, "admin")
    worked(story)
    assert outcomes(story.database, hopeless) == {Outcome.WEAKENED: 56}


def test_what_does_not_pass_by_itself_either_waits_together(story: Story, digits: Digits) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    story.post(training_ids(digits, 3))
    story.post(training_ids(digits, 5))
    worked(story)
    # Both are at fault, so nothing is tried apart.
    assert [run.item_count for run in story.runs()] == [60 + 56]


def withdrawn(story: Story, request_id: uuid.UUID) -> None:
    with story.database.transaction() as session:
        assert withdraw(session, session.get_one(DeletionRequest, request_id), "pipeline")


def test_what_was_held_with_a_request_that_is_withdrawn_is_tried_without_it(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    first = story.post(training_ids(digits, 3))
    second = story.post(training_ids(digits, 5))
    worked(story)
    withdrawn(story, first)
    worked(story)
    held, again = story.runs()
    assert (held.item_count, again.item_count) == (60 + 56, 56)
    assert outcomes(story.database, second) == {Outcome.PENDING: 56}
    assert outcomes(story.database, first) == {Outcome.CANCELLED: 60}
