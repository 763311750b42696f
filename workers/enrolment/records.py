"""What an enrolment writes to the database: its progress, and in one transaction its result."""

import uuid
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from models.artifacts import Artifact
from models.audit.append import append
from models.audit.events import Event
from models.database import unless_away
from models.errors import RunEnded
from models.records import (
    Checkpoint,
    FisherSums,
    ModelState,
    RegisteredModel,
    Split,
    SumsKind,
)
from models.records.base import Json
from models.specifications import Enrolment
from workers.failures import Failure
from workers.leases import give_back, renew, require_lease, take_lease
from workers.progress import Progress
from workers.resources import Resources
from workers.subjects import KeptSums
from workers.unlearning.importances import Provenance
from workers.unlearning.probing.intervals import Estimate

_DIED_TOO_OFTEN = Failure(
    "worker-died",
    "Every worker that began this enrolment died, or lost the database, and none got any further. "
    "Look at their logs and their memory, then post it again.",
)


@dataclass(frozen=True)
class SampleRows:
    """The columns of the sample table, in dataset order: the position is the index."""

    sample_ids: list[str]
    labels: list[int]
    splits: list[Split]
    probe_ranks: list[int]

    def label_counts(self) -> Json:
        """Samples of each split and label."""
        counts: dict[str, Counter[int]] = {split.value: Counter() for split in Split}
        for label, split in zip(self.labels, self.splits, strict=True):
            counts[split][label] += 1
        return {
            split: {str(label): n for label, n in sorted(counter.items())}
            for split, counter in counts.items()
        }


@dataclass(frozen=True)
class Enrolled:
    """Everything an enrolment found; its files are in the store."""

    base: Artifact
    digests: Artifact
    full: KeptSums
    # Of the labels that have sums of their own.
    of_labels: dict[int, KeptSums]
    provenance: Provenance
    rows: SampleRows
    manifest_digest: str
    recognised: dict[Split, Estimate]


@dataclass(frozen=True)
class Enrolling:
    """An enrolment that this worker is at, under the epoch of its lease."""

    model_id: uuid.UUID
    epoch: int
    enrolment: Enrolment
    # How many samples a worker before has got to.
    reached: int


def begin_enrolment(model_id: uuid.UUID, resources: Resources) -> Enrolling | None:
    """Take the lease; None if there is nothing to enrol, or somebody is at it."""
    with resources.database.transaction() as session:
        model = session.get(RegisteredModel, model_id)
        if model is None or model.state is not ModelState.ENROLLING:
            return None
        epoch = take_lease(session, model_id, resources.worker, resources.settings.lease_s)
        if epoch is None:
            return None
        # Taking the lease may have waited for the end of another enrolment of the same model.
        session.refresh(model)
        if model.state is not ModelState.ENROLLING:
            give_back(session, model_id, epoch)
            return None
        model.enrolment_attempts += 1
        if model.enrolment_attempts > resources.settings.max_attempts:
            _fail(session, model, _DIED_TOO_OFTEN, resources)
            give_back(session, model_id, epoch)
            return None
        return Enrolling(
            model_id=model_id,
            epoch=epoch,
            enrolment=Enrolment.model_validate(model.specification),
            reached=model.progress["done"] if model.progress else 0,
        )


def write_progress(
    enrolling: Enrolling, progress: Progress, resources: Resources, *, is_ahead: bool
) -> None:
    """Let admins see how far it is; they can do without while the database is away.

    If it `is_ahead` of where others died, their deaths are not held against it any more.
    """
    values: Json = {"progress": progress.as_json()}
    if is_ahead:
        values["enrolment_attempts"] = 1
    with (
        unless_away("The progress could not be written"),
        resources.database.transaction() as session,
    ):
        require_lease(session, enrolling.model_id, enrolling.epoch)
        session.execute(
            update(RegisteredModel).where(RegisteredModel.id == enrolling.model_id).values(values)
        )


def activate(enrolling: Enrolling, enrolled: Enrolled, resources: Resources) -> None:
    """Insert base, sums and samples and make the registered model active: all or nothing."""
    model_id, epoch = enrolling.model_id, enrolling.epoch
    with resources.database.transaction() as session:
        model = _lock(session, enrolling)
        model.head_version = 0
        model.state = ModelState.ACTIVE
        model.label_counts = enrolled.rows.label_counts()
        model.manifest_digest = enrolled.manifest_digest
        model.digests_sha256, model.digests_size = enrolled.digests.sha256, enrolled.digests.size
        model.base_accuracy = {
            split.value: share.as_document().as_json()
            for split, share in enrolled.recognised.items()
        }
        model.progress = None
        model.enrolled_at = session.scalar(select(func.now()))
        base, full = enrolled.base, enrolled.full
        session.add(
            Checkpoint(
                model_id=model_id,
                version=0,
                sha256=base.sha256,
                size=base.size,
                forgotten_count=0,
                weakened_count=0,
            )
        )
        session.add(_sums_row(model_id, SumsKind.FULL, None, full, enrolled.provenance))
        session.add_all(
            _sums_row(model_id, SumsKind.LABEL, label, kept, enrolled.provenance)
            for label, kept in enrolled.of_labels.items()
        )
        session.flush()
        _copy_samples(session, model_id, enrolled.rows)
        append(
            session,
            Event.MODEL_ENROLLED,
            actor=resources.actor,
            model_id=model_id,
            details={
                "base": base.sha256,
                "sums": full.artifact.sha256,
                "manifest": enrolled.manifest_digest,
                "images": enrolled.digests.sha256,
                "training_samples": full.count,
                "labels_with_sums": len(enrolled.of_labels),
            },
        )
        give_back(session, model_id, epoch)


def _sums_row(
    model_id: uuid.UUID, kind: SumsKind, label: int | None, kept: KeptSums, provenance: Provenance
) -> FisherSums:
    return FisherSums(
        model_id=model_id,
        kind=kind,
        label=label,
        version=0,
        sample_count=kept.count,
        provenance=vars(provenance),
        sha256=kept.artifact.sha256,
        size=kept.artifact.size,
    )


def fail_enrolment(enrolling: Enrolling, failure: Failure, resources: Resources) -> None:
    """Say why; nothing else of the enrolment is kept, and the name can be used again."""
    with resources.database.transaction() as session:
        _fail(session, _lock(session, enrolling), failure, resources)
        give_back(session, enrolling.model_id, enrolling.epoch)


def interrupt_enrolment(enrolling: Enrolling, failure: Failure, resources: Resources) -> None:
    """Leave it to the next worker, as if this one had died; fail it if that was the last try."""
    with resources.database.transaction() as session:
        model = _lock(session, enrolling)
        if model.enrolment_attempts >= resources.settings.max_attempts:
            _fail(session, model, failure, resources)
        give_back(session, enrolling.model_id, enrolling.epoch)


def lay_down_enrolment(enrolling: Enrolling, resources: Resources) -> None:
    """Its worker has to stop: another one goes on, and nothing is held against the enrolment."""
    with resources.database.transaction() as session:
        lease_s = resources.settings.lease_s
        if not renew(session, enrolling.model_id, enrolling.epoch, lease_s):
            # It was given back: an earlier try at this has been committed after all.
            return
        _lock(session, enrolling).enrolment_attempts -= 1
        give_back(session, enrolling.model_id, enrolling.epoch)


def _lock(session: Session, enrolling: Enrolling) -> RegisteredModel:
    """The row and the lease of an enrolment that is still this worker's.

    Raises `LeaseLost`, and `RunEnded` if an earlier transaction of this worker has ended it.
    """
    model_id = enrolling.model_id
    require_lease(session, model_id, enrolling.epoch)
    model = session.get_one(RegisteredModel, model_id, with_for_update=True, populate_existing=True)
    if model.state is not ModelState.ENROLLING:
        raise RunEnded(f"The registered model is {model.state.value} already.")
    return model


def _fail(session: Session, model: RegisteredModel, failure: Failure, resources: Resources) -> None:
    model.state = ModelState.ENROLMENT_FAILED
    model.failure = failure.as_json()
    model.progress = None
    append(
        session,
        Event.ENROLMENT_FAILED,
        actor=resources.actor,
        model_id=model.id,
        details={"kind": failure.kind},
    )


def _copy_samples(session: Session, model_id: uuid.UUID, rows: SampleRows) -> None:
    driver = session.connection().connection.driver_connection
    assert driver is not None
    columns = "model_id, sample_id, position, label, split, probe_rank"
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY sample ({columns}) FROM STDIN") as copy,
    ):
        for position, (sample_id, label, split, rank) in enumerate(
            zip(rows.sample_ids, rows.labels, rows.splits, rows.probe_ranks, strict=True)
        ):
            copy.write_row((model_id, sample_id, position, label, split.value, rank))
    # The first run must not be planned as if the table were empty.
    session.execute(text("ANALYZE sample"))
