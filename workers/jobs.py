"""The two functions that RQ may execute. Their argument says which registered model has work."""

import logging
import uuid

from sqlalchemy.exc import OperationalError

from models.doorbell import Job
from models.settings import load_settings
from workers import enrolment, pipeline
from workers.claims import claim
from workers.failures import log_unexpected
from workers.queueing import has_free_items
from workers.resources import open_resources

log = logging.getLogger(__name__)


def unlearn(model_id: str) -> None:
    """Make one run of what is pending, and ring again for what has come meanwhile."""
    identity = uuid.UUID(model_id)
    with open_resources(load_settings()) as resources:
        resources.doorbell.answered(Job.UNLEARN, identity)
        try:
            run = claim(identity, resources)
            if run is None:
                return
            pipeline.unlearn(run, resources)
            with resources.database.reading() as session:
                more = has_free_items(session, identity)
            if more:
                resources.doorbell.ring(Job.UNLEARN, identity)
        except OperationalError as error:
            # The database went away. What was committed stands; the lease runs out and the
            # steward rings again.
            log_unexpected(log, error)


def enrol(model_id: str) -> None:
    """Carry out an enrolment that was posted."""
    identity = uuid.UUID(model_id)
    with open_resources(load_settings()) as resources:
        resources.doorbell.answered(Job.ENROL, identity)
        try:
            enrolment.enrol(identity, resources)
        except OperationalError as error:
            log_unexpected(log, error)
