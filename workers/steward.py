"""The steward: a small loop that finds what a crash, a lost ring or a rotten disk has left.

It is restartable at any point, and any number may run: see `workers/duties`.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from sqlalchemy.exc import OperationalError

from models.artifacts import open_store
from models.database import Database
from models.doorbell import open_doorbell
from models.failpoints import Failpoint, failpoint
from models.settings import Settings
from workers.duties.collecting import (
    collect_shard_logs,
    collect_unfinished,
    collect_unreferenced,
)
from workers.duties.deadlines import flag_overdue
from workers.duties.journalling import keep_record
from workers.duties.recovering import take_over_expired
from workers.duties.ringing import ring_for_stranded
from workers.duties.scrubbing import scrub
from workers.duties.stewardship import Stewardship
from workers.failures import log_unexpected

log = logging.getLogger(__name__)

# By name, in the order of a round. Each returns how much it found to do.
DUTIES: Mapping[str, Callable[[Stewardship], int]] = {
    "take over from lost workers": take_over_expired,
    "ring for stranded work": ring_for_stranded,
    "flag overdue requests": flag_overdue,
    "keep the journal of publications": keep_record,
    "collect unfinished files": collect_unfinished,
    "collect unreferenced artifacts": collect_unreferenced,
    "collect notes of enrolments": collect_shard_logs,
    "scrub artifacts": scrub,
}


def run_steward(settings: Settings, stop: threading.Event) -> None:
    """Make a round every `steward_s` seconds until `stop` is set."""
    settings.require_services()
    database = Database(settings.database_url, pool_size=1, idle_limit_s=settings.lease_s)
    stewardship = Stewardship(
        settings, database, open_store(settings.artifact_store_url), open_doorbell(settings)
    )
    while not stop.wait(settings.steward_s):
        make_round(stewardship)
    database.close()


def make_round(stewardship: Stewardship) -> None:
    """Every duty once. One that fails is logged, and does not keep the others from being done."""
    for name, duty in DUTIES.items():
        try:
            failpoint(Failpoint.STEWARD)
            duty(stewardship)
        except OperationalError as error:
            log.warning("Could not %s: the database: %s", name, type(error.orig).__name__)
        except OSError as error:
            log.warning("Could not %s: %s.", name, error.strerror)
        except Exception as error:  # noqa: BLE001  (logged; the next round tries again)
            log.warning("Could not %s:", name)
            log_unexpected(log, error)
