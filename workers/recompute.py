"""Computing a published checkpoint anew from what is kept, to see that it is what was published.

The base, the Fisher sums and the settings on record are all that a version depends on. Whoever
doubts a checkpoint need not trust the run that made it.
"""

import os
from dataclasses import dataclass

from sqlalchemy import select

from models.artifacts import Artifact
from models.artifacts.hashing import HashedWriter, hashing
from models.errors import NothingToRecompute
from models.records import Checkpoint, FisherSums, SumsKind, UnlearningRun
from models.records.base import Json
from models.registry import find_model
from models.retirement import require_not_retired
from models.specifications import Enrolment
from workers.resources import Resources
from workers.streaming import StreamedCohort, dampen_stored
from workers.unlearning.dampening import Population
from workers.unlearning.importances import Provenance
from workers.unlearning.tuning import Setting


@dataclass(frozen=True)
class Recomputed:
    """The head's digest, as published and as it came out now."""

    version: int
    published: str
    found: str


@dataclass(frozen=True)
class _Kept:
    head: Checkpoint
    base: Artifact
    full: Artifact
    cohorts: list[StreamedCohort]
    metadata: Json


def recompute(name: str, resources: Resources) -> Recomputed:
    """Compute the head of the registered model `name` anew; needs a few MB of memory.

    Raises `NothingToRecompute` if nothing has been forgotten, `ModelRetired` if nothing is kept,
    `ArtifactDamaged` if a file that it is computed from is not what it was, and what sums of
    different provenance raise.
    """
    kept = _kept(name, resources)
    with (
        open(os.devnull, "wb", buffering=0) as nowhere,
        hashing() as digest,
    ):
        writer = HashedWriter(nowhere, digest)
        dampen_stored(kept.base, kept.full, kept.cohorts, kept.metadata, resources.store, writer)
        found = digest.hexdigest()
    return Recomputed(version=kept.head.version, published=kept.head.sha256, found=found)


def _kept(name: str, resources: Resources) -> _Kept:
    # A publication meanwhile must not pair its sums with the settings before.
    with resources.database.snapshot() as session:
        model = find_model(session, name)
        require_not_retired(model)
        versions = {
            row.version: row
            for row in session.scalars(
                select(Checkpoint).where(
                    Checkpoint.model_id == model.id,
                    Checkpoint.version.in_((0, model.head_version)),
                )
            )
        }
        if not model.head_version:
            raise NothingToRecompute(
                f"Nothing of {name!r} has been forgotten: its head is the base as it was enrolled."
            )
        head, base = versions[model.head_version], versions[0]
        run = session.get_one(UnlearningRun, head.run_id)
        sums = session.scalars(select(FisherSums).where(FisherSums.model_id == model.id)).all()
    assert run.verdict is not None
    by_label = {
        row.label: Artifact(row.sha256, row.size) for row in sums if row.kind is SumsKind.FORGET
    }
    full = next(row for row in sums if row.kind is SumsKind.FULL)
    for row in sums:
        Provenance(**full.provenance).require_same(Provenance(**row.provenance))
    return _Kept(
        head=head,
        base=Artifact(base.sha256, base.size),
        full=Artifact(full.sha256, full.size),
        cohorts=[
            StreamedCohort(
                sums=[by_label[label] for label in cohort.labels],
                population=Population(total=model.training_samples, forgotten=cohort.samples),
                setting=Setting(selection=cohort.selection, strength=cohort.strength),
            )
            for cohort in run.verdict.cohorts
        ],
        metadata=Enrolment.model_validate(model.specification).checkpoint_metadata(),
    )
