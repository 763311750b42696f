"""The worker: an RQ worker on one queue that forks one process per job.

One queue, because a worker on two loses a job that is killed between leaving the queue and being
started. The parent imports torch, so that a fork starts at once, and never computes with it: a
CUDA context does not survive a fork, nor do the threads of a CPU computation.
"""

import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import rq
from redis import Redis
from rq.job import Job as RqJob

from models import doorbell
from models.database import Database, unless_away
from models.doorbell import QUEUE, open_doorbell
from models.errors import ExpungeError
from models.processes import die_with_parent
from models.settings import Settings
from workers import grace, jobs
from workers.architectures.torchvision_networks import torchvision_builders
from workers.resources import worker_name
from workers.transactions.recovery import Death, bury
from workers.transactions.releases import Cause
from workers.unlearning.loops import compiled, gpu

log = logging.getLogger(__name__)

# The unit of `ru_maxrss`.
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024

ALLOWED = {
    doorbell.Job.UNLEARN.value: jobs.unlearn,
    doorbell.Job.ENROL.value: jobs.enrol,
}


class ForeignJob(ExpungeError):
    """Something other than Expunge has put a job into the queue."""


class AllowedJob(RqJob):
    """A job that can only be one of ours, whatever its description in Redis says.

    RQ imports whatever function, or callback, a job names; Redis is not a place to take code from.
    """

    @property
    def func(self):  # type: ignore[no-untyped-def]
        """The job's function, from the list."""
        if self.func_name not in ALLOWED or self.instance:
            raise ForeignJob("The queue holds a job that is not Expunge's; it is not executed.")
        return ALLOWED[self.func_name]

    success_callback = None
    failure_callback = None
    stopped_callback = None


class Worker(rq.Worker):
    """RQ's forking worker; its children do not outlive it."""

    job_class = AllowedJob
    settings: Settings
    # Process, wait status and use of resources of the last child that was waited for.
    _ended: tuple[int, int, resource.struct_rusage] | None = None
    # RQ has no public name for why its loop ended, and an idle worker's is not set at all.
    asked_to_stop = False

    def bootstrap(self, *arguments: Any) -> None:
        """Register, and note a request to stop that comes before RQ listens for one."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop_at_once)
        super().bootstrap(*arguments)

    def _stop_at_once(self, _signum: int, _frame: FrameType | None) -> None:
        self.asked_to_stop = self._stop_requested = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """On SIGTERM or SIGINT: finish the job at hand."""
        self.asked_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def handle_warm_shutdown_request(self) -> None:
        """Tell the child too: it may have to be given up before somebody loses patience."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            # Not to its group: what reads images for it is still needed.
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """In the child: die with the parent, so that nobody computes behind a new worker's back."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        assert self.pid is not None
        die_with_parent(self.pid)
        grace.listen()

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """Remember how the child ended."""
        found: tuple[int | None, int | None, Any] = super().wait_for_horse()
        pid, status, used = found
        if pid is not None and status is not None:
            self._ended = (pid, status, used)
        return found

    def monitor_work_horse(self, *arguments: Any) -> None:
        """Wait for the child; should it have died, end its run at once, and say how."""
        self._ended = None
        try:
            super().monitor_work_horse(*arguments)
        finally:
            if self._ended is not None and self._ended[1] != 0:
                self._bury(*self._ended)

    def _bury(self, pid: int, status: int, used: resource.struct_rusage) -> None:
        death = Death(
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            exit_status=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            peak_bytes=used.ru_maxrss * MAXRSS_BYTES,
        )
        log.error("A run has died. %s", death.sentence())
        # Whoever stops the worker a second time kills the run; that says nothing of its samples.
        cause = Cause.A_DECISION if self.asked_to_stop else Cause.ITS_SAMPLES
        database = Database(self.settings.database_url, pool_size=1)
        try:
            # If that cannot be put on record, its lease runs out by itself.
            with unless_away("It could not be put on record"):
                for model_id in bury(database, worker_name(pid), death, cause, self.settings):
                    open_doorbell(self.settings).ring(doorbell.Job.UNLEARN, model_id)
        finally:
            database.close()


def run_worker(settings: Settings) -> bool:
    """Work until asked to stop (True), or until Redis is gone (False: start again)."""
    settings.require_services()
    # What most runs need and the imports above have left out: a fork is to start at once.
    torchvision_builders()
    compiled.load_compiler()
    if settings.device == "cuda":
        gpu.load_compiler()
    worker = Worker(
        [QUEUE],
        connection=Redis.from_url(settings.redis_url),
        serializer="json",
    )
    worker.settings = settings
    worker.work(logging_level="WARNING")
    return worker.asked_to_stop
