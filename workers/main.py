"""The worker: an RQ worker on one queue that forks one process per job.

One queue, because a worker on two loses a job that is killed between leaving the queue and being
started. The parent imports torch, so that a fork starts at once, and never computes with it: a
CUDA context does not survive a fork, nor do the threads of a CPU computation.
"""

import logging
from types import FrameType

import rq
from redis import Redis
from rq.job import Job as RqJob

from models import doorbell
from models.doorbell import QUEUE
from models.errors import ExpungeError
from models.processes import die_with_parent
from models.settings import Settings
from workers import jobs
from workers.unlearning.compiled import load_compiler

log = logging.getLogger(__name__)

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
    # RQ has no public name for why its loop ended, and an idle worker's is not set at all.
    asked_to_stop = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """On SIGTERM or SIGINT: finish the job at hand."""
        self.asked_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def setup_work_horse_signals(self) -> None:
        """In the child: die with the parent, so that nobody computes behind a new worker's back."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        assert self.pid is not None
        die_with_parent(self.pid)


def run_worker(settings: Settings) -> bool:
    """Work until asked to stop (True), or until Redis is gone (False: start again)."""
    settings.require_services()
    load_compiler()
    worker = Worker(
        [QUEUE],
        connection=Redis.from_url(settings.redis_url),
        serializer="json",
    )
    worker.work(logging_level="WARNING")
    return worker.asked_to_stop
