"""Enrolment: a trained network becomes a registered model that can forget.

    weights checked → dataset indexed → images digested → Fisher sums over all training samples,
    and over those of each larger label → one transaction

Nothing is visible until the last step; if any step refuses, the registered model says why and
nothing else is kept.
"""

import hashlib
import logging
import uuid
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from torch import Tensor

from models.artifacts import Artifact
from models.database import is_away
from models.errors import ExpungeError, LeaseLost, RanksFailed, ReaderDied, WorkerStopping
from models.records import Phase
from models.specifications import Enrolment
from workers import grace
from workers.bookkeeping import store_sums
from workers.datasets.digests import digest_images
from workers.enrolment.preparation import Prepared, prepare
from workers.enrolment.records import (
    Enrolled,
    Enrolling,
    activate,
    begin_enrolment,
    fail_enrolment,
    interrupt_enrolment,
    lay_down_enrolment,
    write_progress,
)
from workers.enrolment.shardlog import ShardLogs, fingerprint
from workers.enrolment.summing import Summing
from workers.failures import describe, log_unexpected
from workers.leases import Heartbeat
from workers.persistence import persist
from workers.progress import Progress, Tell, Tracker
from workers.resources import Resources
from workers.subjects import DIGESTS, KeptSums
from workers.tensors import bytes_of, write_tensors
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import Provenance, add_sums, zero_sums

log = logging.getLogger(__name__)


def enrol(model_id: uuid.UUID, resources: Resources, show: Tell | None = None) -> None:
    """Enrol a registered model that is in state `enrolling`; does nothing if somebody is at it.

    `show` is called with the progress, beside the row that admins poll. Afterwards the registered
    model is `active`, or `enrolment_failed` with the reason; if somebody who helped has died, it
    may still be `enrolling`, and the next call goes on.
    """
    enrolling = begin_enrolment(model_id, resources)
    if enrolling is None:
        return
    heartbeat = Heartbeat(resources.database, model_id, enrolling.epoch, resources.settings)
    tell = _telling(enrolling, resources, heartbeat, show)
    try:
        with heartbeat.beating():
            notes = _carry_out(enrolling, resources, tell, heartbeat.check)
    except LeaseLost as error:
        log.warning("The enrolment of %s is not this worker's any more: %s", model_id, error)
        return
    if notes is not None:
        notes.discard()


def _telling(
    enrolling: Enrolling, resources: Resources, heartbeat: Heartbeat, show: Tell | None
) -> Tell:
    """Tells the row, and `show`, how far it is; raises if it must not go on."""

    def tell(progress: Progress) -> None:
        heartbeat.check()
        # A shard further than any worker before is on disk, for whoever has to go on from there.
        is_ahead = progress.done >= enrolling.reached + resources.settings.shard_size
        if progress.done >= enrolling.reached:
            write_progress(enrolling, progress, resources, is_ahead=is_ahead)
        if show is not None:
            show(progress)

    return tell


def _carry_out(
    enrolling: Enrolling, resources: Resources, tell: Tell, go_on: Callable[[], None]
) -> ShardLogs | None:
    """The notes, which nobody needs any more, of an enrolment that has ended well; else None."""
    try:
        enrolled, notes = _compute(enrolling, resources, tell, go_on)
        persist(lambda: activate(enrolling, enrolled, resources))
    except LeaseLost:
        raise
    except Exception as error:
        if isinstance(error, DBAPIError) and is_away(error):
            # Another worker begins anew once the database is there again.
            raise
        _give_up(enrolling, error, resources)
        return None
    return notes


def _give_up(enrolling: Enrolling, error: Exception, resources: Resources) -> None:
    # Whoever stops a group of processes also stops those that read and sum for this one.
    if isinstance(error, WorkerStopping) or grace.was_asked():
        persist(lambda: lay_down_enrolment(enrolling, resources))
        return
    if not isinstance(error, ExpungeError):
        log_unexpected(log, error)
    failure = describe(error)
    # Whoever helped has died, as a worker may: what it got to is noted.
    if isinstance(error, RanksFailed | ReaderDied):
        log.warning("The enrolment of %s: %s", enrolling.model_id, failure.detail)
        persist(lambda: interrupt_enrolment(enrolling, failure, resources))
        return
    persist(lambda: fail_enrolment(enrolling, failure, resources))


def _compute(
    enrolling: Enrolling, resources: Resources, tell: Tell, go_on: Callable[[], None]
) -> tuple[Enrolled, ShardLogs]:
    """All the work and all the files, and the notes of it; no rows yet."""
    enrolment = enrolling.enrolment
    prepared = prepare(enrolment, resources.settings.sources_root, resources.device)
    source, count = prepared.indexed.dataset.source, len(prepared.indexed.rows.sample_ids)
    digests = digest_images(source, count, go_on)
    # An image that is exchanged from now on is not summed in its place.
    prepared = prepared.of_images(digests)
    indexed = prepared.indexed
    notes = _notes(enrolling, prepared, digests, resources)
    summing = Summing.of(enrolment, prepared, notes, resources.settings)
    summing.sum_all(Tracker(Phase.WEIGH, len(indexed.training()), tell).advance)
    # Only now, when hardly anything can be refused any more, are files made that stay.
    metadata = enrolment.checkpoint_metadata()
    base = resources.store.put(lambda writer: write_tensors(writer, prepared.weights, metadata))
    provenance = _provenance(enrolment, prepared, base.sha256, resources)
    full, of_labels = _store_all_sums(summing, provenance, resources, go_on)
    enrolled = Enrolled(
        base=base,
        digests=_store_digests(digests, indexed.manifest_digest, resources),
        full=full,
        of_labels=of_labels,
        provenance=provenance,
        rows=indexed.rows,
        manifest_digest=indexed.manifest_digest,
        recognised=prepared.recognised,
    )
    return enrolled, summing.logs


def _store_all_sums(
    summing: Summing, provenance: Provenance, resources: Resources, go_on: Callable[[], None]
) -> tuple[KeptSums, dict[int, KeptSums]]:
    """The sums over all samples, and by label those of labels of their own."""
    full, count, of_labels = zero_sums(summing.prepared.network), 0, {}
    for portion, sums in summing.noted(go_on):
        add_sums(full, sums)
        count += len(portion.samples)
        if portion.label is not None:
            size = len(portion.samples)
            of_labels[portion.label] = store_sums(sums, size, provenance, resources)
        del sums
    return store_sums(full, count, provenance, resources), of_labels


def _store_digests(digests: Tensor, manifest: str, resources: Resources) -> Artifact:
    metadata = {"digests": "images", "manifest": manifest}
    return resources.store.put(lambda writer: write_tensors(writer, {DIGESTS: digests}, metadata))


def _provenance(
    enrolment: Enrolment, prepared: Prepared, weights: str, resources: Resources
) -> Provenance:
    return Provenance.of(
        estimator_of(enrolment.estimator),
        weights=weights,
        manifest=prepared.indexed.manifest_digest,
        device=resources.device.type,
    )


def _notes(enrolling: Enrolling, prepared: Prepared, digests: Tensor, resources: Resources) -> Path:
    """How the names of its notes begin, which are those of this registered model alone: an equal
    one may be enrolled beside it, and each discards its own. They are of images with these digests.
    """
    enrolment = enrolling.enrolment
    provenance = _provenance(enrolment, prepared, prepared.weights_digest(), resources)
    name = fingerprint(
        model=str(enrolling.model_id),
        provenance=vars(provenance),
        images=hashlib.sha256(bytes_of(digests)).hexdigest(),
        **enrolment.model_dump(mode="json", include={"architecture", "preprocessing"}),
    )
    return resources.settings.data_dir / "enrolments" / name
