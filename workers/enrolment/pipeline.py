"""Enrolment: a trained network becomes a registered model that can forget.

    weights checked → dataset indexed → images digested → Fisher sums over all training samples,
    and over those of each larger label → one transaction

Nothing is visible until the last step; if any step refuses, the registered model says why and
nothing else is kept.
"""

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.exc import OperationalError
from torch import Tensor

from models.artifacts import Artifact
from models.errors import ExpungeError, LeaseLost, ShardsMissing, WorkerStopping
from models.records import Phase
from models.settings import Settings
from models.specifications import Enrolment
from workers.bookkeeping import store_sums
from workers.datasets.digests import digest_images
from workers.enrolment.portions import Portion, labels_apart, portions_of
from workers.enrolment.preparation import Prepared, prepare
from workers.enrolment.ranks import sum_in_ranks
from workers.enrolment.records import (
    Enrolled,
    activate,
    begin_enrolment,
    fail_enrolment,
    lay_down_enrolment,
    write_progress,
)
from workers.enrolment.shardlog import ShardLogs, fingerprint
from workers.enrolment.shards import sum_portions
from workers.failures import describe, log_unexpected
from workers.leases import Heartbeat
from workers.persistence import persist
from workers.progress import Progress, Tell, Tracker
from workers.resources import Resources
from workers.subjects import DIGESTS
from workers.tensors import write_tensors
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import Provenance, Sums, add_sums, zero_sums

log = logging.getLogger(__name__)


def enrol(model_id: uuid.UUID, resources: Resources, show: Tell | None = None) -> None:
    """Enrol a registered model that is in state `enrolling`; does nothing if somebody is at it.

    `show` is called with the progress, beside the row that admins poll. Afterwards the registered
    model is `active`, or `enrolment_failed` with the reason.
    """
    begun = begin_enrolment(model_id, resources)
    if begun is None:
        return
    epoch, enrolment, reached = begun
    heartbeat = Heartbeat(resources.database, model_id, epoch, resources.settings)

    def tell(progress: Progress) -> None:
        heartbeat.check()
        # A shard further than any worker before is on disk, for whoever has to go on from there.
        is_ahead = progress.done >= reached + resources.settings.shard_size
        if progress.done >= reached:
            write_progress(model_id, epoch, progress, resources, is_ahead=is_ahead)
        if show is not None:
            show(progress)

    try:
        with heartbeat.beating():
            try:
                enrolled = _enrolled(model_id, enrolment, resources, tell, heartbeat.check)
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


def _enrolled(
    model_id: uuid.UUID,
    enrolment: Enrolment,
    resources: Resources,
    tell: Tell,
    go_on: Callable[[], None],
) -> Enrolled:
    """All the work and all the files; no rows yet."""
    prepared = prepare(enrolment, resources.settings.sources_root, resources.device)
    indexed = prepared.indexed
    digests = digest_images(indexed.dataset.source, len(indexed.rows.sample_ids), go_on)
    training = indexed.training()
    apart = labels_apart(training, prepared.network, resources.settings.label_sums_bytes)
    portions = portions_of(training, apart)
    logs = _shard_logs(model_id, enrolment, prepared, resources)
    tracker = Tracker(Phase.WEIGH, len(training), tell)
    if resources.settings.processes > 1:
        sum_in_ranks(enrolment, apart, logs, resources.settings, tracker.advance)
    else:
        _sum(enrolment, prepared, portions, logs, resources.settings, tracker.advance)
    # Only now, when hardly anything can be refused any more, are files made that stay.
    metadata = enrolment.checkpoint_metadata()
    base = resources.store.put(lambda writer: write_tensors(writer, prepared.weights, metadata))
    provenance = _provenance(enrolment, prepared, base.sha256, resources)
    full, of_labels = zero_sums(prepared.network), {}
    for portion in portions:
        go_on()
        sums = _noted(enrolment, prepared, portion, logs, resources.settings)
        add_sums(full, sums)
        if portion.label is not None:
            count = len(portion.samples)
            of_labels[portion.label] = store_sums(sums, count, provenance, resources)
    enrolled = Enrolled(
        base=base,
        digests=_store_digests(digests, indexed.manifest_digest, resources),
        full=store_sums(full, len(training), provenance, resources),
        of_labels=of_labels,
        provenance=provenance,
        rows=indexed.rows,
        manifest_digest=indexed.manifest_digest,
        recognised=prepared.recognised,
    )
    go_on()
    for portion in portions:
        logs.of(portion).discard()
    return enrolled


def _store_digests(digests: Tensor, manifest: str, resources: Resources) -> Artifact:
    metadata = {"digests": "images", "manifest": manifest}
    return resources.store.put(lambda writer: write_tensors(writer, {DIGESTS: digests}, metadata))


def _sum(
    enrolment: Enrolment,
    prepared: Prepared,
    portions: Sequence[Portion],
    logs: ShardLogs,
    settings: Settings,
    advance: Callable[[int], None],
) -> None:
    """Sum what the logs lack of these portions, in this process."""
    estimator, dataset = estimator_of(enrolment.estimator), prepared.indexed.dataset
    sum_portions(prepared.network, estimator, dataset, portions, logs, settings, advance)


def _noted(
    enrolment: Enrolment,
    prepared: Prepared,
    portion: Portion,
    logs: ShardLogs,
    settings: Settings,
) -> Sums:
    """A portion's sums from its log.

    A worker that was taken over and wakes up late leaves fewer shards in it than there were: what
    is missing this process sums again. Of several processes it is an error that any is missing,
    since then they may not all see the same folder.
    """
    try:
        return logs.read_all(portion, prepared.network)
    except ShardsMissing:
        if settings.processes > 1:
            raise
    _sum(enrolment, prepared, [portion], logs, settings, lambda _count: None)
    return logs.read_all(portion, prepared.network)


def _provenance(
    enrolment: Enrolment, prepared: Prepared, weights: str, resources: Resources
) -> Provenance:
    return Provenance.of(
        estimator_of(enrolment.estimator),
        weights=weights,
        manifest=prepared.indexed.manifest_digest,
        device=resources.device.type,
    )


def _shard_logs(
    model_id: uuid.UUID, enrolment: Enrolment, prepared: Prepared, resources: Resources
) -> ShardLogs:
    """Those of this registered model alone: an equal one may be enrolled beside it, and each
    discards its own.
    """
    with Path(enrolment.weights).expanduser().open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    name = fingerprint(
        model=str(model_id),
        provenance=vars(_provenance(enrolment, prepared, weights, resources)),
        **enrolment.model_dump(mode="json", include={"architecture", "preprocessing"}),
    )
    settings = resources.settings
    return ShardLogs(settings.data_dir / "enrolments" / name, settings.shard_size)
