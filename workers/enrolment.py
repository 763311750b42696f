"""Enrolment: a trained network becomes a registered model that can forget.

    weights checked → dataset indexed → Fisher sums over all training samples → one transaction

Nothing is visible until the last step; if any step refuses, the registered model says why and
nothing else is kept.
"""

import hashlib
import logging
import uuid
from pathlib import Path

from sqlalchemy.exc import OperationalError

from models.errors import ExpungeError, LeaseLost, WorkerStopping
from models.records import Phase
from models.specifications import Enrolment
from workers.bookkeeping import store_sums
from workers.enrolment_records import (
    Enrolled,
    activate,
    begin_enrolment,
    fail_enrolment,
    lay_down_enrolment,
    write_progress,
)
from workers.failures import describe, log_unexpected
from workers.leases import Heartbeat
from workers.persistence import persist
from workers.preparation import Prepared, prepare
from workers.progress import Progress, Report, Tracker
from workers.ranks import sum_in_ranks
from workers.resources import Resources
from workers.shards import ShardLog, fingerprint, sum_shards
from workers.tensors import write_tensors
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import Provenance

log = logging.getLogger(__name__)


def enrol(model_id: uuid.UUID, resources: Resources, show: Report | None = None) -> None:
    """Enrol a registered model that is in state `enrolling`; does nothing if somebody is at it.

    `show` is called with the progress, beside the row that admins poll. Afterwards the registered
    model is `active`, or `enrolment_failed` with the reason.
    """
    begun = begin_enrolment(model_id, resources)
    if begun is None:
        return
    epoch, enrolment = begun
    heartbeat = Heartbeat(resources.database, model_id, epoch, resources.settings)

    def report(progress: Progress) -> None:
        heartbeat.check()
        write_progress(model_id, epoch, progress, resources)
        if show is not None:
            show(progress)

    try:
        with heartbeat.beating():
            try:
                enrolled = _enrolled(enrolment, resources, report)
                persist(lambda: activate(model_id, epoch, enrolled, resources))
            except (LeaseLost, OperationalError):
                # Another worker has it, or begins anew once the database is there again.
                raise
            except WorkerStopping:
                persist(lambda: lay_down_enrolment(model_id, epoch, resources))
            except Exception as error:  # noqa: BLE001  (kept in the row, and logged)
                if not isinstance(error, ExpungeError):
                    log_unexpected(log, error)
                failure = describe(error)
                persist(lambda: fail_enrolment(model_id, epoch, failure, resources))
    except LeaseLost as error:
        log.warning("The enrolment of %s was taken over: %s", model_id, error)


def _enrolled(enrolment: Enrolment, resources: Resources, report: Report) -> Enrolled:
    """All the work and all the files; no rows yet."""
    prepared = prepare(enrolment, resources.settings.sources_root, resources.device)
    training = prepared.indexed.training()
    log = _shard_log(enrolment, prepared, resources)
    tracker = Tracker(Phase.WEIGH, len(training), report)
    estimator = estimator_of(enrolment.estimator)
    if resources.settings.processes > 1:
        sum_in_ranks(enrolment, log.path, resources.settings, tracker.advance)
        sums, _ = log.read(prepared.network)
    else:
        sums = sum_shards(
            prepared.network,
            estimator,
            prepared.indexed.dataset,
            training,
            log,
            resources.settings,
            tracker.advance,
        )
    # Only now, when nothing can be refused any more, are files made that stay.
    metadata = enrolment.checkpoint_metadata()
    base = resources.store.put(lambda writer: write_tensors(writer, prepared.weights, metadata))
    provenance = Provenance.of(
        estimator,
        weights=base.sha256,
        manifest=prepared.indexed.manifest_digest,
        device=resources.device.type,
    )
    enrolled = Enrolled(
        base=base,
        full=store_sums(sums, len(training), provenance, resources),
        provenance=provenance,
        rows=prepared.indexed.rows,
        manifest_digest=prepared.indexed.manifest_digest,
    )
    log.discard()
    return enrolled


def _shard_log(enrolment: Enrolment, prepared: Prepared, resources: Resources) -> ShardLog:
    with Path(enrolment.weights).expanduser().open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    name = fingerprint(
        weights=weights,
        manifest=prepared.indexed.manifest_digest,
        device=resources.device.type,
        shard_size=resources.settings.shard_size,
        **enrolment.model_dump(mode="json", include={"architecture", "preprocessing", "estimator"}),
    )
    return ShardLog(resources.settings.data_dir / "enrolments" / f"{name}.safetensors")
