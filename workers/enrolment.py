"""Enrolment: a trained network becomes a registered model that can forget.

    weights checked → dataset indexed → Fisher sums over all training samples → one transaction

Nothing is visible until the last step; if any step refuses, the registered model says why and
nothing else is kept.
"""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.errors import (
    DatasetUnreadable,
    ExpungeError,
    LeaseLost,
    NetworkMismatch,
    SampleUnreadable,
    SourceOutsideRoot,
)
from models.records import Phase, Split
from models.specifications import Enrolment
from workers.architectures import build
from workers.datasets import Dataset, open_dataset
from workers.datasets.indexing import checked_index, manifest_digest, probe_ranks, split_samples
from workers.enrolment_records import (
    Enrolled,
    SampleRows,
    activate,
    begin_enrolment,
    fail_enrolment,
    write_progress,
)
from workers.failures import describe, log_unexpected
from workers.leases import Heartbeat
from workers.progress import Progress, Report, Tracker
from workers.resources import Resources
from workers.subjects import batches_of
from workers.tensors import read_tensors, write_tensors
from workers.unlearning.batches import Batch
from workers.unlearning.dampening import Weights
from workers.unlearning.estimators import Estimator, estimator_of
from workers.unlearning.importances import Provenance, Sums, squared_gradient_sums
from workers.weighing import store_sums
from workers.weights import check_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Indexed:
    """A dataset that was checked: every sample's row, and a digest of all of them."""

    dataset: Dataset
    rows: SampleRows
    manifest_digest: str

    def training(self) -> list[tuple[int, int]]:
        """Position and label of every training sample."""
        return [
            (position, label)
            for position, (label, split) in enumerate(
                zip(self.rows.labels, self.rows.splits, strict=True)
            )
            if split is Split.TRAIN
        ]


def enrol(model_id: uuid.UUID, resources: Resources, show: Report | None = None) -> None:
    """Enrol a registered model that is in state `enrolling`; does nothing if somebody is at it.

    `show` is called with the progress, beside the row that admins poll. Afterwards the registered
    model is `active`, or `enrolment_failed` with the reason.
    """
    begun = begin_enrolment(model_id, resources)
    if begun is None:
        return
    epoch, enrolment = begun
    settings = resources.settings
    heartbeat = Heartbeat(
        resources.database,
        model_id,
        epoch,
        lease_s=settings.lease_s,
        every_s=settings.heartbeat_s,
    )

    def report(progress: Progress) -> None:
        heartbeat.check()
        write_progress(model_id, epoch, progress, resources)
        if show is not None:
            show(progress)

    try:
        with heartbeat.beating():
            try:
                activate(model_id, epoch, _prepare(enrolment, resources, report), resources)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001  (kept in the row, and logged)
                if not isinstance(error, ExpungeError):
                    log_unexpected(log, error)
                fail_enrolment(model_id, epoch, describe(error), resources)
    except LeaseLost as error:
        log.warning("The enrolment of %s was taken over: %s", model_id, error)


def _prepare(enrolment: Enrolment, resources: Resources, report: Report) -> Enrolled:
    """All the work and all the files; no rows yet."""
    _require_below_root(enrolment, resources.settings.sources_root)
    network = build(enrolment.architecture).to(resources.device)
    weights = _checked_weights(enrolment, network)
    network.load_state_dict(weights)
    indexed = _index(enrolment, resources.settings.sources_root)
    training = indexed.training()
    _try_out(network, enrolment, indexed.dataset, training, resources.device)
    estimator = estimator_of(enrolment.estimator)
    sums = _full_sums(network, estimator, indexed.dataset, training, resources.device, report)
    # Only now, when nothing can be refused any more, are files made.
    metadata = enrolment.model_dump(mode="json", include={"architecture", "preprocessing"})
    base = resources.store.put(lambda path: write_tensors(path, weights, metadata))
    provenance = Provenance.of(
        estimator,
        weights=base.sha256,
        manifest=indexed.manifest_digest,
        device=resources.device.type,
    )
    return Enrolled(
        base=base,
        full=store_sums(sums, len(training), provenance, resources),
        provenance=provenance,
        rows=indexed.rows,
        manifest_digest=indexed.manifest_digest,
    )


def _checked_weights(enrolment: Enrolment, network: nn.Module) -> Weights:
    weights, _ = read_tensors(Path(enrolment.weights).expanduser())
    check_weights(weights, network, enrolment.architecture)
    return weights


def _index(enrolment: Enrolment, root: Path | None) -> Indexed:
    dataset = open_dataset(enrolment.dataset, enrolment.preprocessing, root)
    index = dataset.index()
    checked_index(index, enrolment.architecture.num_classes)
    dataset.check()
    splits = split_samples(index, enrolment.holdout)
    if Split.TRAIN not in splits:
        raise DatasetUnreadable("The dataset has no training samples: all of it is holdout.")
    rows = SampleRows(
        sample_ids=index.sample_ids,
        labels=index.labels.tolist(),
        splits=splits,
        probe_ranks=probe_ranks(len(splits), enrolment.holdout.seed).tolist(),
    )
    return Indexed(dataset, rows, manifest_digest(index, splits))


def _full_sums(
    network: nn.Module,
    estimator: Estimator,
    dataset: Dataset,
    training: list[tuple[int, int]],
    device: torch.device,
    report: Report,
) -> Sums:
    tracker = Tracker(Phase.WEIGH, len(training), report)

    def counted() -> Iterator[Batch]:
        for batch in batches_of(dataset, training, device):
            yield batch
            tracker.advance(len(batch))

    try:
        return squared_gradient_sums(network, counted(), estimator=estimator)
    except SampleUnreadable as error:
        raise DatasetUnreadable(str(error)) from error


def _try_out(
    network: nn.Module,
    enrolment: Enrolment,
    dataset: Dataset,
    training: list[tuple[int, int]],
    device: torch.device,
) -> None:
    """Classify one sample, so that what does not fit is found before hours of gradients."""
    classes = enrolment.architecture.num_classes
    try:
        with torch.no_grad():
            outputs = network(dataset.load([training[0][0]]).to(device))
    except SampleUnreadable as error:
        raise DatasetUnreadable(str(error)) from error
    except RuntimeError as error:
        raise NetworkMismatch(
            f"The network does not take images of {enrolment.preprocessing.channels} channels and "
            f"size {enrolment.preprocessing.size}: {error}. Check the preprocessing."
        ) from error
    if tuple(outputs.shape) != (1, classes):
        raise NetworkMismatch(
            f"For one image the network gives an output of shape {list(outputs.shape)}; "
            f"[1, {classes}] is needed. Check num_classes."
        )


def _require_below_root(enrolment: Enrolment, root: Path | None) -> None:
    if root is None:
        return
    dataset = enrolment.dataset
    given = [enrolment.weights, getattr(dataset, "path", None), getattr(dataset, "manifest", None)]
    for path in filter(None, given):
        if not Path(path).expanduser().resolve().is_relative_to(root.resolve()):
            raise SourceOutsideRoot(
                f"{path} is not below {root}, the only folder this service enrols from."
            )
