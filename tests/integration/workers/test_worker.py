"""The RQ worker: what it executes, and that its children die with it."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from redis import Redis
from rq import Callback, Queue

from models.doorbell import QUEUE
from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.transactions.test_claims import eventually


def touch(path: str) -> None:
    """What a stranger would like to have executed."""
    Path(path).touch()


@pytest.mark.parametrize("function", ["pathlib.Path.touch", "os.system", "subprocess.run"])
def test_only_the_two_jobs_are_ever_executed(
    settings: Settings, tmp_path: Path, function: str, caplog: pytest.LogCaptureFixture
) -> None:
    trace = tmp_path / "trace"
    with Redis.from_url(settings.redis_url) as connection:
        queue = Queue(QUEUE, connection=connection, serializer="json")
        queue.enqueue_call(func=function, args=(f"touch {trace}",))
        with caplog.at_level(logging.CRITICAL):
            work(settings)
        assert queue.count == 0
    assert not trace.exists()


def test_callbacks_named_in_redis_are_not_executed(settings: Settings, tmp_path: Path) -> None:
    with Redis.from_url(settings.redis_url) as connection:
        queue = Queue(QUEUE, connection=connection, serializer="json")
        queue.enqueue_call(
            func="workers.jobs.unlearn",
            args=("00000000-0000-0000-0000-000000000000",),
            on_success=Callback("tests.integration.workers.test_worker.on_success"),
        )
        work(settings)
    assert CALLED == []


CALLED: list[object] = []


def on_success(*arguments: object) -> None:
    """What a stranger would like to have called back."""
    CALLED.append(arguments)


def test_a_killed_worker_takes_the_process_of_its_job_along(
    story: Story, digits: Digits, tmp_path: Path
) -> None:
    settings = story.resources.settings
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "ARTIFACT_STORE_URL": settings.artifact_store_url,
        "EXPUNGE_DEVICE": "cpu",
    }
    everything = [name for label in range(5) for name in digits.of_label(label)]
    with (tmp_path / "log").open("wb") as log:
        parent = subprocess.Popen(
            [sys.executable, "-m", "expunge", "worker"], env=environment, stderr=log
        )
    story.post(everything)
    process = psutil.Process(parent.pid)
    try:
        assert eventually(lambda: bool(story.runs()), seconds=60)
        (child,) = process.children()
        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=10)
        assert eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        parent.kill()
        parent.wait(timeout=10)
