"""Writing through lost connections: once, whether or not the first commit happened."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from models.errors import LeaseLost
from models.records import Outcome, RunState
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import audit_events, outcomes
from tests.integration.workers.transactions.test_claims import FAILURE, claimed, expire
from workers.persistence import persist
from workers.transactions.breakdowns import give_up
from workers.transactions.releases import Cause


def hang_up(story: Story) -> None:
    """Lose a connection in the middle of a transaction, for real."""
    with story.database.transaction() as session:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_what_was_not_committed_is_written_again(story: Story, digits: Digits) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    run = claimed(story, story.resources)
    broken = iter([hang_up, hang_up])

    def write() -> None:
        for fault in broken:
            fault(story)
        give_up(run, story.resources, FAILURE, {}, None)

    persist(write)
    assert outcomes(story.database, request_id) == {Outcome.FAILED: 4}
    assert audit_events(story.database).count("run.failed") == 1


def test_what_was_committed_although_the_answer_was_lost_is_not_written_again(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    run = claimed(story, story.resources)

    def write() -> None:
        give_up(run, story.resources, FAILURE, {}, Cause.ITS_SURROUNDINGS)
        hang_up(story)

    persist(write)
    assert [found.state for found in story.runs()] == [RunState.FAILED]
    assert audit_events(story.database).count("run.failed") == 1
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}


def test_who_was_taken_over_meanwhile_writes_nothing(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:4])
    run = claimed(story, story.resources)

    def taken_over_after(fault: Callable[[Story], None]) -> Callable[[], None]:
        def write() -> None:
            if story.runs()[-1].id == run.id:
                expire(story)
                claimed(story, story.resources)
                fault(story)
            give_up(run, story.resources, FAILURE, {}, Cause.ITS_SURROUNDINGS)

        return write

    with pytest.raises(LeaseLost):
        persist(taken_over_after(hang_up))
    assert [found.state for found in story.runs()] == [RunState.ABANDONED, RunState.RUNNING]


def test_other_errors_are_not_tried_again(story: Story) -> None:
    tries = []

    def write() -> None:
        tries.append(1)
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="ours"):
        persist(write)
    assert len(tries) == 1
    with pytest.raises(OperationalError):
        hang_up(story)
