"""Ringing, on a real Redis: rings fold together, none is lost, and none holds anybody up."""

import logging
import socket
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rq import Queue

from models.doorbell import MARK_S, QUEUE, QUIET_S, TIMEOUT_S, Doorbell, Job, open_doorbell
from models.errors import NotConfigured
from models.settings import Settings

MODEL = uuid.UUID(int=1)
OTHER = uuid.UUID(int=2)
SECRET = "s3cret-of-redis"


def _queue(doorbell: Doorbell) -> Queue:
    return Queue(QUEUE, connection=doorbell.connection, serializer="json")


def test_a_ring_puts_one_job_into_the_queue(doorbell: Doorbell, settings: Settings) -> None:
    assert doorbell.ring(Job.UNLEARN, MODEL)
    [job] = _queue(doorbell).jobs
    assert (job.func_name, list(job.args)) == ("workers.jobs.unlearn", [str(MODEL)])
    assert job.timeout == settings.run_limit_s


def test_an_enrolment_has_its_own_limit(doorbell: Doorbell, settings: Settings) -> None:
    doorbell.ring(Job.ENROL, MODEL)
    [job] = _queue(doorbell).jobs
    assert job.timeout == settings.enrolment_limit_s


def test_rings_fold_together_while_one_waits(doorbell: Doorbell, settings: Settings) -> None:
    assert all(doorbell.ring(Job.UNLEARN, MODEL) for _ in range(5))
    assert open_doorbell(settings).ring(Job.UNLEARN, MODEL)
    assert len(_queue(doorbell)) == 1


def test_after_the_answer_a_ring_is_a_new_job(doorbell: Doorbell) -> None:
    doorbell.ring(Job.UNLEARN, MODEL)
    doorbell.answered(Job.UNLEARN, MODEL)
    assert doorbell.ring(Job.UNLEARN, MODEL)
    assert len(_queue(doorbell)) == 2


def test_models_and_jobs_do_not_fold_into_one_another(doorbell: Doorbell) -> None:
    for job in Job:
        for model in (MODEL, OTHER):
            doorbell.ring(job, model)
    assert len(_queue(doorbell)) == 4
    doorbell.answered(Job.UNLEARN, MODEL)
    doorbell.ring(Job.ENROL, MODEL)
    doorbell.ring(Job.UNLEARN, OTHER)
    assert len(_queue(doorbell)) == 4


def test_the_mark_of_a_lost_job_stops_nobody(doorbell: Doorbell) -> None:
    doorbell.ring(Job.UNLEARN, MODEL)
    [lost] = _queue(doorbell).job_ids
    # A worker has taken it out of the queue, and died before it began.
    doorbell.connection.lrem(_queue(doorbell).key, 1, lost)
    assert doorbell.ring(Job.UNLEARN, MODEL)
    [found] = _queue(doorbell).job_ids
    assert found != lost


def test_marks_do_not_stay_for_ever(doorbell: Doorbell) -> None:
    doorbell.ring(Job.UNLEARN, MODEL)
    lifetimes = [doorbell.connection.ttl(key) for key in doorbell.connection.keys("expunge:*")]
    assert len(lifetimes) == 1
    assert all(0 < seconds <= MARK_S for seconds in lifetimes)


def test_an_unreachable_redis_costs_a_warning_and_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    doorbell = _doorbell_on(f"redis://user:{SECRET}@127.0.0.1:1/0")
    with caplog.at_level(logging.DEBUG):
        assert doorbell.ring(Job.UNLEARN, MODEL) is False
    assert "steward" in caplog.text
    assert SECRET not in caplog.text


def test_a_check_leaves_nothing_that_stays(doorbell: Doorbell) -> None:
    doorbell.ping()
    [key] = doorbell.connection.keys()
    assert doorbell.connection.ttl(key) > 0


def test_an_address_that_cannot_be_is_named_and_not_repeated(settings: Settings) -> None:
    wrong = settings.model_copy(update={"redis_url": f"http://:{SECRET}@host/0"})
    with pytest.raises(NotConfigured, match="REDIS_URL") as refused:
        open_doorbell(wrong)
    assert SECRET not in str(refused.value)


def test_a_redis_that_never_answers_does_not_hold_up_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        doorbell = _doorbell_on(f"redis://:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/0")
        begun = time.monotonic()
        assert doorbell.ring(Job.UNLEARN, MODEL) is False
        assert time.monotonic() - begun < 10
    assert SECRET not in caplog.text


def test_after_a_failure_redis_is_left_alone_for_a_moment(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        doorbell = _doorbell_on(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert doorbell.ring(Job.UNLEARN, MODEL) is False
        begun = time.monotonic()
        assert not any(doorbell.ring(Job.UNLEARN, MODEL) for _ in range(1000))
        assert time.monotonic() - begun < QUIET_S
    assert caplog.text.count("steward") == 1


def test_nobody_waits_long_while_somebody_else_waits_for_redis() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        doorbell = _doorbell_on(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        first = pool.submit(doorbell.ring, Job.UNLEARN, MODEL)
        # It has connected, so it has its turn.
        with silent.accept()[0] as accepted:
            accepted.recv(1)
            begun = time.monotonic()
            assert doorbell.ring(Job.UNLEARN, OTHER) is False
            assert time.monotonic() - begun < TIMEOUT_S / 2
            assert first.result() is False


def test_redis_is_asked_again_once_it_is_back(doorbell: Doorbell, settings: Settings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "redis.sock"
        waiting = _doorbell_on(f"unix://{address}")
        assert waiting.ring(Job.UNLEARN, MODEL) is False
        address.symlink_to(settings.redis_url.removeprefix("unix://"))
        deadline = time.monotonic() + 10 * QUIET_S
        while not waiting.ring(Job.UNLEARN, MODEL):
            assert time.monotonic() < deadline
        assert len(_queue(doorbell)) == 1
        waiting.connection.close()


def _doorbell_on(url: str) -> Doorbell:
    return Doorbell(url, run_limit_s=1, enrolment_limit_s=1)
