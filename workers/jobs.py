"""The two functions that RQ may execute. Their argument says which registered model has work."""

import logging
import uuid

from sqlalchemy.exc import OperationalError

from models.doorbell import Job
from models.settings import load_settings
from workers import enrolment, pipeline
from workers.claims import claim
from workers.failures import log_unexpected
from workers.resources import open_resources

log = logging.getLogger(__name__)


def unlearn(model_id: str) -> None:
    """Run until the registered model has no pending items, or somebody else is at it."""
    identity = uuid.UUID(model_id)
    with open_resources(load_settings()) as resources:
        resources.doorbell.answered(Job.UNLEARN, identity)
        try:
            while (run := claim(identity, resources)) is not None:
                pipeline.unlearn(run, resources)
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
