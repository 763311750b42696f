"""Enrolment: a trained network becomes a registered model that can forget.

    weights checked → dataset indexed → Fisher sums over all training samples → one transaction

Nothing is visible until the last step; if any step refuses, the registered model says why and
nothing else is kept.
"""

import hashlib
import logging
import uuid
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
from workers.ranks import sum_in_ranks
from workers.resources import Resources
from workers.shards import ShardLog, fingerprint, sum_shards
from workers.tensors import read_tensors, write_tensors
from workers.unlearning.dampening import Weights
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import Provenance
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
                activate(model_id, epoch, _enrolled(enrolment, resources, report), resources)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001  (kept in the row, and logged)
                if not isinstance(error, ExpungeError):
                    log_unexpected(log, error)
                fail_enrolment(model_id, epoch, describe(error), resources)
    except LeaseLost as error:
        log.warning("The enrolment of %s was taken over: %s", model_id, error)


@dataclass(frozen=True)
class Prepared:
    """What was checked before any gradient: the network with its weights, and its samples."""

    network: nn.Module
    weights: Weights
    indexed: Indexed


def prepare(enrolment: Enrolment, root: Path | None, device: torch.device) -> Prepared:
    """Check everything that an enrolment declares, and that its parts fit together."""
    _require_below_root(enrolment, root)
    network = build(enrolment.architecture).to(device)
    weights = _checked_weights(enrolment, network)
    network.load_state_dict(weights)
    indexed = _index(enrolment, root)
    _try_out(network, enrolment, indexed, device)
    return Prepared(network, weights, indexed)


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
    metadata = enrolment.model_dump(mode="json", include={"architecture", "preprocessing"})
    base = resources.store.put(lambda path: write_tensors(path, prepared.weights, metadata))
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


def _try_out(
    network: nn.Module,
    enrolment: Enrolment,
    indexed: Indexed,
    device: torch.device,
) -> None:
    """Classify one sample, so that what does not fit is found before hours of gradients."""
    classes = enrolment.architecture.num_classes
    try:
        with torch.no_grad():
            first, _ = indexed.training()[0]
            outputs = network(indexed.dataset.load([first]).to(device))
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
