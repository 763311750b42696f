"""The steward: a small loop that finds stranded work and rings for it.

Work is stranded when its ring was lost, its worker died, or Redis was away. The steward decides
nothing that a claim does not check again, so any number of stewards may run.
"""

import logging
import threading
import uuid

from sqlalchemy import exists, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.database import Database
from models.doorbell import Doorbell, Job, open_doorbell
from models.records import (
    DeletionItem,
    Lease,
    ModelState,
    RegisteredModel,
    RunState,
    UnlearningRun,
)
from models.settings import Settings
from workers.queueing import free

log = logging.getLogger(__name__)


def run_steward(settings: Settings, stop: threading.Event) -> None:
    """Look around every `steward_s` seconds until `stop` is set."""
    settings.require_services()
    database = Database(settings.database_url, pool_size=1)
    doorbell = open_doorbell(settings)
    while not stop.wait(settings.steward_s):
        try:
            ring_for_stranded(database, doorbell)
        except OperationalError as error:
            log.warning("The database cannot be reached: %s", type(error.orig).__name__)
    database.close()


def ring_for_stranded(database: Database, doorbell: Doorbell) -> int:
    """Ring for every registered model that has work and no live lease; return how many."""
    with database.reading() as session:
        stranded = find_stranded(session)
    for job, model_id in stranded:
        doorbell.ring(job, model_id)
    return len(stranded)


def find_stranded(session: Session) -> list[tuple[Job, uuid.UUID]]:
    """Registered models that nobody works on although there is something to do, and which job."""
    held = exists().where(
        Lease.model_id == RegisteredModel.id, Lease.expires_at > func.clock_timestamp()
    )
    free_items = exists().where(DeletionItem.model_id == RegisteredModel.id, free())
    # Its lease has run out, so its worker is dead: the next claim ends it.
    orphaned_run = exists().where(
        UnlearningRun.model_id == RegisteredModel.id, UnlearningRun.state == RunState.RUNNING
    )
    enrolling = session.scalars(
        select(RegisteredModel.id).where(RegisteredModel.state == ModelState.ENROLLING, ~held)
    )
    waiting = session.scalars(
        select(RegisteredModel.id).where(
            RegisteredModel.state == ModelState.ACTIVE, ~held, free_items | orphaned_run
        )
    )
    return [(Job.ENROL, model_id) for model_id in enrolling] + [
        (Job.UNLEARN, model_id) for model_id in waiting
    ]
