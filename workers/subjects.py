"""Loading what a run works on: the base, its sums, the data."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from sqlalchemy import select
from sqlalchemy.orm import Session
from torch import Tensor, nn

from models.artifacts import Artifact
from models.documents import CohortVerdict, Verdict
from models.errors import DatasetChanged
from models.records import Checkpoint, FisherSums, RegisteredModel, SumsKind, UnlearningRun
from models.specifications import HoldoutSpec
from workers.architectures import build
from workers.datasets import Dataset, open_dataset
from workers.datasets.indexing import manifest_digest, split_samples
from workers.datasets.source import Position
from workers.resources import Resources
from workers.runs import Run
from workers.tensors import parse_tensors
from workers.unlearning.batches import Batch
from workers.unlearning.dampening import Weights
from workers.unlearning.estimators import Estimator, estimator_of
from workers.unlearning.importances import BATCH, Provenance, Sums

# What the tensor is called in a file of digests of images.
DIGESTS = "digests"


@dataclass(frozen=True)
class KeptSums:
    """Stored sums and the number of samples that they are of, not loaded."""

    artifact: Artifact
    count: int


@dataclass(frozen=True)
class Subject:
    """The network under the knife. `network` holds whatever weights were last put into it."""

    network: nn.Module
    base: Weights
    full: Sums
    estimator: Estimator
    provenance: Provenance
    # Of labels: over the samples that versions have forgotten, and over all there were in training
    # where the enrolment kept them.
    forgotten: dict[int, KeptSums]
    of_labels: dict[int, KeptSums]
    # How the head dampens its cohorts, by their names; nothing if the head is the base.
    on_record: dict[str, CohortVerdict]
    # Whether the head forgot what several cohorts show only together.
    forgotten_together: bool
    dataset: Dataset
    device: torch.device

    def put(self, weights: Weights) -> nn.Module:
        """The network with these weights."""
        self.network.load_state_dict(weights)
        return self.network


def readable_batches(
    dataset: Dataset,
    samples: Sequence[Position],
    device: torch.device,
    *,
    unreadable: dict[int, str],
) -> Iterator[Batch]:
    """The samples on the device, a batch at a time, but for those that cannot be read.

    The positions of these, and what is wrong with them, are added to `unreadable`.
    """
    for start in range(0, len(samples), BATCH):
        chunk = samples[start : start + BATCH]
        inputs, wrong = dataset.load_readable([position for position, _ in chunk])
        unreadable.update(wrong)
        yield _batch(inputs, [sample for sample in chunk if sample[0] not in wrong], device)


def one_batch(dataset: Dataset, samples: Sequence[Position], device: torch.device) -> Batch:
    """All of `samples` at once; `SampleUnreadable` if an image cannot be read."""
    return _batch(dataset.load([position for position, _ in samples]), samples, device)


def _batch(inputs: Tensor, samples: Sequence[Position], device: torch.device) -> Batch:
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
    positions = torch.tensor([position for position, _ in samples], dtype=torch.int64)
    return Batch(inputs, labels, positions).to(device)


def load_subject(run: Run, resources: Resources) -> Subject:
    """Read everything, every artifact hashed before use, every sum's provenance compared.

    Raises `DatasetChanged` if the dataset is not what was enrolled.
    """
    with resources.database.reading() as session:
        model = session.get_one(RegisteredModel, run.model_id)
        base_row = session.scalars(
            select(Checkpoint).where(Checkpoint.model_id == run.model_id, Checkpoint.version == 0)
        ).one()
        sums = session.scalars(select(FisherSums).where(FisherSums.model_id == run.model_id)).all()
        verdict = _verdict_of_head(session, run)
    full_row = next(row for row in sums if row.kind is SumsKind.FULL)
    provenance = Provenance(**full_row.provenance)
    estimator = estimator_of(run.enrolment.estimator)
    provenance.require_same(
        Provenance.of(
            estimator,
            weights=base_row.sha256,
            manifest=provenance.manifest,
            device=resources.device.type,
        )
    )
    for row in sums:
        provenance.require_same(Provenance(**row.provenance))
    dataset = open_dataset(
        run.enrolment.dataset,
        run.enrolment.preprocessing,
        resources.settings.sources_root,
        _digests(model, resources),
        readers=resources.settings.readers,
    )
    _require_unchanged(dataset, run.enrolment.holdout, provenance.manifest)
    device = resources.device
    with ThreadPoolExecutor(max_workers=2) as threads:
        reading = [
            threads.submit(read_on, Artifact(row.sha256, row.size), resources)
            for row in (base_row, full_row)
        ]
        network = build(run.enrolment.architecture).to(device)
        base, full = [each.result() for each in reading]
    return Subject(
        network=network,
        base=base,
        full=full,
        estimator=estimator,
        provenance=provenance,
        forgotten=_by_label(sums, SumsKind.FORGET),
        of_labels=_by_label(sums, SumsKind.LABEL),
        on_record={cohort.name: cohort for cohort in verdict.cohorts} if verdict else {},
        forgotten_together=bool(verdict and verdict.pool and verdict.pool.forgotten),
        dataset=dataset,
        device=device,
    )


def _by_label(sums: Sequence[FisherSums], kind: SumsKind) -> dict[int, KeptSums]:
    return {
        row.label: KeptSums(Artifact(row.sha256, row.size), row.sample_count)
        for row in sums
        if row.kind is kind and row.label is not None
    }


def _digests(model: RegisteredModel, resources: Resources) -> Tensor | None:
    if model.digests_sha256 is None or model.digests_size is None:
        return None
    artifact = Artifact(model.digests_sha256, model.digests_size)
    tensors, _ = parse_tensors(resources.store.read(artifact))
    return tensors[DIGESTS]


def _require_unchanged(dataset: Dataset, holdout: HoldoutSpec, manifest: str) -> None:
    """Raise `DatasetChanged` unless every sample is where it was: positions are what is kept."""
    index = dataset.index()
    if manifest_digest(index, split_samples(index, holdout)) != manifest:
        raise DatasetChanged(
            "The dataset has changed since it was enrolled: it must have the same samples with "
            "the same labels in the same order. Put back what was removed, renamed or reordered; "
            "of forgotten samples the images may be deleted, but not their rows."
        )


def _verdict_of_head(session: Session, run: Run) -> Verdict | None:
    """None if the head is the base."""
    return session.scalar(
        select(UnlearningRun.verdict)
        .join(Checkpoint, Checkpoint.run_id == UnlearningRun.id)
        .where(Checkpoint.model_id == run.model_id, Checkpoint.version == run.parent_version)
    )


def read_on(artifact: Artifact, resources: Resources) -> dict[str, Tensor]:
    """An artifact's tensors on the worker's device, its bytes checked first."""
    tensors, _ = parse_tensors(resources.store.read(artifact))
    return {name: tensor.to(resources.device) for name, tensor in tensors.items()}
