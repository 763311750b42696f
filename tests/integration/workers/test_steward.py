"""Stranded work: what the steward finds, and what it leaves alone."""

import errno
import os
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import func, select

from models.doorbell import Doorbell, Job
from models.records import DeletionRequest, Outcome, RunState
from models.registry import register_model
from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import audit_events, outcomes
from tests.integration.workers.transactions.test_claims import claimed, eventually, expire
from workers import steward
from workers.duties.deadlines import flag_overdue
from workers.duties.recovering import take_over_expired
from workers.duties.ringing import find_stranded, ring_for_stranded
from workers.duties.stewardship import Stewardship
from workers.steward import make_round, run_steward


def forget_queue(settings: Settings) -> None:
    """As if Redis had lost everything."""
    with Redis.from_url(settings.redis_url) as connection:
        connection.flushall()


def stewardship(story: Story) -> Stewardship:
    """What a steward of the story's service works with."""
    held = story.resources
    return Stewardship(held.settings, held.database, held.store, held.doorbell)


def stranded(story: Story) -> list[Job]:
    """The jobs that the steward would ring for."""
    with story.database.reading() as session:
        return [
            job for job, _ in find_stranded(session, story.resources.settings.max_items_per_run)
        ]


def test_work_whose_ring_was_lost_is_found_and_done(story: Story, digits: Digits) -> None:
    request_id = story.post(digits.of_label(3))
    forget_queue(story.resources.settings)
    work(story.resources.settings)
    assert Outcome.PENDING in outcomes(story.database, request_id)
    assert ring_for_stranded(stewardship(story)) == 1
    work(story.resources.settings)
    assert outcomes(story.database, request_id) == {Outcome.FORGOTTEN: len(digits.of_label(3))}
    assert stranded(story) == []


def test_work_that_somebody_is_at_is_left_alone_until_the_lease_expires(
    story: Story, digits: Digits
) -> None:
    story.post(digits.of_label(3)[:3])
    claimed(story, story.resources)
    assert stranded(story) == []
    expire(story)
    assert take_over_expired(stewardship(story)) == 1
    assert stranded(story) == [Job.UNLEARN]


def test_a_request_that_misses_its_deadline_is_flagged_once(story: Story, digits: Digits) -> None:
    late, early = story.post(digits.of_label(3)[:1]), story.post(digits.of_label(3)[1:2])
    with story.database.transaction() as session:
        now = session.scalar(select(func.now()))
        assert now is not None
        session.get_one(DeletionRequest, late).deadline = now - timedelta(seconds=1)
        session.get_one(DeletionRequest, early).deadline = now + timedelta(hours=1)
    assert [flag_overdue(stewardship(story)) for _ in range(2)] == [1, 0]
    with story.database.reading() as session:
        assert session.get_one(DeletionRequest, late).overdue_since is not None
        assert session.get_one(DeletionRequest, early).overdue_since is None
    assert audit_events(story.database).count("request.overdue") == 1


def test_a_duty_that_fails_does_not_keep_the_others_from_being_done(
    story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_stewardship: Stewardship) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO), f"/images/{digits.sample_ids[0]}.png")

    story.post(digits.of_label(3)[:3])
    forget_queue(story.resources.settings)
    monkeypatch.setitem(steward.DUTIES, "take over from lost workers", fail)
    make_round(stewardship(story))
    with Redis.from_url(story.resources.settings.redis_url) as connection:
        assert connection.llen("rq:queue:expunge") == 1
    assert "Could not take over from lost workers" in caplog.text
    assert digits.sample_ids[0] not in caplog.text


def test_items_that_wait_for_a_review_are_not_rung_for(story: Story, digits: Digits) -> None:
    story.set_policy(method={"method": "adaptive"}, gate={"max_retained_fall": 0.02})
    sample_ids = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10]
    story.forget(sample_ids[:-10])
    assert story.runs()[0].state is RunState.NEEDS_REVIEW
    assert stranded(story) == []


def test_an_enrolment_whose_worker_died_is_rung_for(story: Story, digits: Digits) -> None:
    enrolment = digits.enrolment.model_copy(update={"name": "second"})
    with story.database.transaction() as session:
        register_model(session, enrolment, "test")
    assert stranded(story) == [Job.ENROL]


def test_the_loop_rings_by_itself_and_stops_when_asked(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:3])
    forget_queue(story.resources.settings)
    stop = threading.Event()
    loop = threading.Thread(target=run_steward, args=(story.resources.settings, stop))
    loop.start()
    with Redis.from_url(story.resources.settings.redis_url) as connection:
        assert eventually(lambda: connection.llen("rq:queue:expunge") == 1)
    stop.set()
    loop.join(timeout=10)
    assert not loop.is_alive()


def test_without_redis_the_steward_goes_on(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:3])
    unreachable = Doorbell("redis://127.0.0.1:1/0", run_limit_s=1, enrolment_limit_s=1)
    assert ring_for_stranded(replace(stewardship(story), doorbell=unreachable)) == 1
    assert stranded(story) == [Job.UNLEARN]
