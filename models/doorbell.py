"""Ringing for work: the only place that enqueues.

A ring says that a registered model has work, and nothing else: PostgreSQL knows which. A ring that
is lost costs a delay, since the steward rings again; a ring too many finds nothing to do. While one
is waiting in the queue, further rings for the same model are folded into it: a mark says which job
that is, and it is taken away when the job starts, *before* it looks for work, so nothing that was
committed before a ring is overlooked.

While Redis does not answer it is not asked again and again: after a failure rings are dropped for a
moment, and while somebody waits for an answer nobody else does for long.
"""

import logging
import threading
import time
import uuid
from enum import StrEnum
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue

from models.errors import NotConfigured
from models.settings import Settings

log = logging.getLogger(__name__)

QUEUE = "expunge"
# A mark is always checked against the queue; that it expires only keeps Redis tidy.
MARK_S = 24 * 3600
# Redis must never hold up a client: accepting goes on without it.
TIMEOUT_S = 2.0
# What is written to see whether it can be.
CHECK, CHECK_S = "expunge:check", 10
# After a failure Redis is left alone for this long.
QUIET_S = 1.0
# Rings of one process go one after another; none waits longer for the one before it.
TURN_S = 0.1


class Job(StrEnum):
    """The only functions a worker executes, as RQ names them."""

    UNLEARN = "workers.jobs.unlearn"
    ENROL = "workers.jobs.enrol"


class Doorbell:
    """The way from whoever has work to whoever does it."""

    def __init__(self, url: str, *, run_limit_s: int, enrolment_limit_s: int) -> None:
        self.connection: Redis = Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            # A connection that was closed meanwhile is opened again; silence is waited for once.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._turn = threading.Lock()
        self._quiet_until = 0.0
        self._queue = Queue(QUEUE, connection=self.connection, serializer="json")
        self._limits = {Job.UNLEARN: run_limit_s, Job.ENROL: enrolment_limit_s}

    def ring(self, job: Job, model_id: uuid.UUID) -> bool:
        """Ask for `job` on a registered model; False if Redis could not be reached just now.

        Call it after the transaction that made the work has committed. A failure is logged and
        not raised: the work is in PostgreSQL, and the steward will ring for it.
        """
        if time.monotonic() < self._quiet_until or not self._turn.acquire(timeout=TURN_S):
            return False
        try:
            self._enqueue(job, model_id)
        except RedisError as error:
            self._quiet_until = time.monotonic() + QUIET_S
            log.warning("The queue cannot be reached (%s); the steward will ring again.", error)
            return False
        finally:
            self._turn.release()
        return True

    def _enqueue(self, job: Job, model_id: uuid.UUID) -> None:
        mark = _mark(job, model_id)
        waiting: Any = self.connection.get(mark)
        # A job that is not in the queue any more has started, or was lost with its worker.
        if waiting is not None and self._is_queued(str(waiting, "ascii")):
            return
        queued = self._queue.enqueue_call(
            func=job.value,
            args=(str(model_id),),
            timeout=self._limits[job],
            result_ttl=0,
            failure_ttl=0,
        )
        self.connection.set(mark, queued.id, ex=MARK_S)

    def _is_queued(self, job_id: str) -> bool:
        return self.connection.lpos(self._queue.key, job_id) is not None

    def answered(self, job: Job, model_id: uuid.UUID) -> None:
        """A job has started: rings from now on need a job of their own.

        Should Redis be away at this very moment, the mark stays, and names a job that is gone.
        """
        try:
            self.connection.delete(_mark(job, model_id))
        except RedisError as error:
            log.warning("The queue cannot be reached (%s); the job's mark stays.", error)

    def ping(self) -> None:
        """Raise `RedisError` if nothing can be written to the queue.

        One that is out of memory answers all the same, and takes no rings.
        """
        self.connection.set(CHECK, b"", ex=CHECK_S)


def open_doorbell(settings: Settings) -> Doorbell:
    """The doorbell of these settings, with the time limits of the jobs.

    Raises `NotConfigured` if there cannot be such an address.
    """
    try:
        return Doorbell(
            settings.redis_url,
            run_limit_s=settings.run_limit_s,
            enrolment_limit_s=settings.enrolment_limit_s,
        )
    except ValueError:
        raise NotConfigured(
            "REDIS_URL cannot be read as an address. Write redis://:password@host:6379/0 or "
            "unix:///path/redis.sock."
        ) from None


def _mark(job: Job, model_id: uuid.UUID) -> str:
    return f"expunge:rung:{job.name.lower()}:{model_id}"
