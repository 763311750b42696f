"""Workers against one another, asleep past their lease, out of memory, asked to stop."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from redis import Redis
from rq import Queue
from sqlalchemy import select

from models.doorbell import QUEUE, Job
from models.failpoints import Failpoint
from models.records import RunState, UnlearningRun
from models.settings import Settings
from tests.conftest import ADMIN_KEY, Digits
from tests.faults.checker import PUBLISHING, check, pending
from tests.faults.client import Client, read_journal
from tests.faults.conftest import StartSite
from tests.faults.site import Site
from tests.integration.workers.conftest import Story
from tests.support import waiting
from tests.support.waiting import alive
from workers.resources import Resources, open_resources

pytestmark = pytest.mark.timeout(900)

SETTLE_S = 120.0


def until(condition: Callable[[], bool], site: Site, within_s: float = SETTLE_S) -> None:
    """Wait for what must come true."""
    assert waiting.until(condition, within_s), site.logs()


def runs(resources: Resources) -> list[UnlearningRun]:
    """All runs by epoch."""
    with resources.database.reading() as session:
        return list(session.scalars(select(UnlearningRun).order_by(UnlearningRun.epoch)))


def post(settings: Settings, folder: Path, sample_ids: list[str]) -> None:
    """One request, journalled."""
    client = Client(settings, ADMIN_KEY, folder / "journal", threading.Event())
    client.post("digits", sample_ids)
    client.close()


def training(digits: Digits) -> list[str]:
    """The IDs of all training samples."""
    return [name for name in digits.sample_ids if int(name.split("-")[1]) % 10]


@pytest.mark.timeout(3600)
def test_many_workers_at_one_registered_model_make_one_line_of_versions(
    hurried: Settings, start_site: StartSite, digits: Digits, torture: bool, tmp_path: Path
) -> None:
    workers, publications = (8, 400) if torture else (3, 12)
    site = start_site(hurried, programs=("gateway", *["worker"] * workers, "steward"))
    with open_resources(hurried) as resources, Redis.from_url(hurried.redis_url) as connection:
        queue = Queue(QUEUE, connection=connection, serializer="json")
        model_id = str(Story(resources).model().id)
        for sample_id in training(digits)[:publications]:
            post(hurried, tmp_path, [sample_id])
            # As many jobs as there are workers, whatever the doorbell thinks of it.
            for _ in range(workers):
                queue.enqueue_call(func=Job.UNLEARN.value, args=(model_id,), result_ttl=0)
            until(lambda: not pending(resources), site)
        counts = check(resources, "digits", read_journal(tmp_path / "journal"))
        holders = {run.worker for run in runs(resources)}
    print(f"\n{workers} workers, {dict(counts)}, by {len(holders)} processes; 0 forks")
    assert counts["versions"] == publications


def test_a_worker_that_sleeps_past_its_lease_in_the_midst_of_publishing_publishes_nothing(
    hurried: Settings, start_site: StartSite, digits: Digits, tmp_path: Path
) -> None:
    site = start_site(hurried)
    site.arm(Failpoint.PUBLISH_BEFORE_COMMIT, "stall 8")
    post(hurried, tmp_path, training(digits)[:2])
    with open_resources(hurried) as resources:
        until(lambda: not site.is_armed(Failpoint.PUBLISH_BEFORE_COMMIT), site)
        process = psutil.Process(int(runs(resources)[0].worker.split(":")[1]))
        until(lambda: process.status() == psutil.STATUS_STOPPED, site)
        until(lambda: not pending(resources), site)
        asleep, taken = runs(resources)[0], runs(resources)[-1]
        # It wakes up by itself; when its process has ended it has tried whatever it would.
        until(lambda: not alive(process), site)
        assert asleep.state is RunState.ABANDONED
        assert taken.state in PUBLISHING
        assert taken.worker != asleep.worker
        check(resources, "digits", read_journal(tmp_path / "journal"))


def test_a_killed_run_is_taken_up_at_once_and_its_death_is_on_record(
    hurried: Settings, start_site: StartSite, digits: Digits, tmp_path: Path
) -> None:
    patient = hurried.model_copy(update={"lease_s": 600, "heartbeat_s": 1})
    site = start_site(patient, programs=("gateway", "worker", "steward"))
    site.arm(Failpoint.TUNE, "kill")
    post(patient, tmp_path, training(digits)[:2])
    with open_resources(patient) as resources:
        until(lambda: bool(runs(resources)), site)
        until(lambda: not pending(resources), site)
        died, settled = runs(resources)
        assert died.state is RunState.ABANDONED
        assert died.death is not None
        assert died.death["signal"] == signal.SIGKILL
        assert died.death["peak_bytes"] > 50 << 20
        # Nobody has waited for a lease of ten minutes.
        assert died.finished_at is not None
        assert (settled.created_at - died.finished_at).total_seconds() < SETTLE_S


def test_a_worker_that_is_asked_to_stop_gives_its_run_up_cleanly_within_its_grace(
    hurried: Settings, start_site: StartSite, digits: Digits, tmp_path: Path
) -> None:
    brief = hurried.model_copy(update={"grace_s": 0, "lease_s": 600, "heartbeat_s": 1})
    site = start_site(brief, programs=("gateway", "worker", "steward"))
    site.arm(Failpoint.WEIGH, "stall 3")
    post(brief, tmp_path, training(digits)[:300])
    with open_resources(brief) as resources:
        until(lambda: bool(runs(resources)) and not site.is_armed(Failpoint.WEIGH), site)
        site.kill("worker-1", signal.SIGTERM)
        until(lambda: not pending(resources), site)
        laid_down, settled = runs(resources)
        assert laid_down.state is RunState.ABANDONED
        assert laid_down.failure is not None
        assert laid_down.failure["kind"] == "worker-stopping"
        assert laid_down.death is None
        # It says nothing about the items: theirs is a first attempt again.
        assert settled.attempt == 1


def test_a_run_that_takes_too_long_is_ended_and_tried_again(
    hurried: Settings, start_site: StartSite, digits: Digits, tmp_path: Path
) -> None:
    hasty = hurried.model_copy(update={"run_limit_s": 6, "lease_s": 600, "heartbeat_s": 1})
    site = start_site(hasty, programs=("gateway", "worker", "steward"))
    site.arm(Failpoint.WEIGH, "stall 7")
    post(hasty, tmp_path, training(digits)[:2])
    with open_resources(hasty) as resources:
        until(lambda: bool(runs(resources)), site)
        until(lambda: not pending(resources), site)
        late, settled = runs(resources)
        assert late.state is RunState.FAILED
        assert late.failure is not None
        assert late.failure["kind"] == "run-timed-out"
        assert settled.attempt == 2
