"""The two functions that RQ may execute. Their argument says which registered model has work."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from models.doorbell import Job
from models.errors import ExpungeError
from models.settings import load_settings
from workers import pipeline
from workers.enrolment import pipeline as enrolment
from workers.failures import log_unexpected
from workers.resources import open_resources
from workers.transactions.claims import claim
from workers.transactions.queueing import has_work, holds

log = logging.getLogger(__name__)


class JobBroken(ExpungeError):
    """A job ended in a way that its run could not put on record."""


def unlearn(model_id: str) -> None:
    """Make one run of what is pending, and ring again for what has come meanwhile."""
    identity = uuid.UUID(model_id)
    with _words_withheld(), open_resources(load_settings()) as resources:
        resources.doorbell.answered(Job.UNLEARN, identity)
        run = claim(identity, resources)
        if run is None:
            return
        pipeline.unlearn(run, resources)
        with resources.database.reading() as session:
            more = holds(session, identity, has_work(resources.settings.max_items_per_run))
        if more:
            resources.doorbell.ring(Job.UNLEARN, identity)


def enrol(model_id: str) -> None:
    """Carry out an enrolment that was posted."""
    identity = uuid.UUID(model_id)
    with _words_withheld(), open_resources(load_settings()) as resources:
        resources.doorbell.answered(Job.ENROL, identity)
        enrolment.enrol(identity, resources)


@contextmanager
def _words_withheld() -> Iterator[None]:
    """For what a run or an enrolment could not end by itself: the database went away, or worse.

    What was committed stands; the lease runs out and the steward rings again. Raises `JobBroken` in
    its stead, as RQ logs and keeps an error's own words, which may quote data.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001  (another is raised)
        log_unexpected(log, error)
        raise JobBroken(f"{type(error).__name__}; the worker's log has the trace.") from None
