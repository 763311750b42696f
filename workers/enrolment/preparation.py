"""What an enrolment checks before its long pass: weights, samples, and that they fit together."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from models.errors import DatasetUnreadable, SourceOutsideRoot, WeightsUnreadable
from models.records import Split
from models.specifications import Enrolment
from workers.architectures import build
from workers.datasets import Dataset, open_dataset
from workers.datasets.indexing import checked_index, manifest_digest, probe_ranks, split_samples
from workers.enrolment.records import SampleRows
from workers.enrolment.tryout import recognised, require_better_than_guessing, try_out
from workers.tensors import bytes_of, read_tensors
from workers.unlearning.dampening import Weights
from workers.unlearning.probing.intervals import Estimate
from workers.weights import check_weights


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


@dataclass(frozen=True)
class Prepared:
    """What was checked before any gradient: the network with its weights, and its samples."""

    network: nn.Module
    weights: Weights
    indexed: Indexed
    # The share of samples that the base recognises; a split without samples is left out.
    recognised: dict[Split, Estimate]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def weights_digest(self) -> str:
        """Of the numbers, by their names."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            tensor = self.weights[name]
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(bytes_of(tensor))
        return digest.hexdigest()

    def of_images(self, digests: Tensor) -> "Prepared":
        """The same, and no other image is taken for one with these digests, uint8 [n, 8]."""
        dataset = self.indexed.dataset.of_images(digests)
        return replace(self, indexed=replace(self.indexed, dataset=dataset))


def prepare(
    enrolment: Enrolment, root: Path | None, device: torch.device, *, looks_for_all: bool = True
) -> Prepared:
    """Check everything that an enrolment declares, and that its parts fit together.

    Unless it `looks_for_all` files, one that is missing is noticed when it is read.
    """
    _require_below_root(enrolment, root)
    _require_files(enrolment)
    network = build(enrolment.architecture).to(device)
    weights = _checked_weights(enrolment, network)
    network.load_state_dict(weights)
    indexed = _index(enrolment, root, looks_for_all=looks_for_all)
    try_out(network, enrolment, indexed.dataset, indexed.training(), device)
    shares = recognised(network, indexed.dataset, indexed.rows, device)
    require_better_than_guessing(shares[Split.TRAIN], labels=len(set(indexed.rows.labels)))
    return Prepared(network, weights, indexed, shares)


def _checked_weights(enrolment: Enrolment, network: nn.Module) -> Weights:
    weights, _ = read_tensors(Path(enrolment.weights).expanduser())
    check_weights(weights, network, enrolment.architecture)
    return weights


def _index(enrolment: Enrolment, root: Path | None, *, looks_for_all: bool) -> Indexed:
    dataset = open_dataset(enrolment.dataset, enrolment.preprocessing, root)
    index = dataset.index()
    checked_index(index, enrolment.architecture.num_classes)
    if looks_for_all:
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


def _require_below_root(enrolment: Enrolment, root: Path | None) -> None:
    if root is None:
        return
    for path in [enrolment.weights, *_sources(enrolment)]:
        if not Path(path).expanduser().resolve().is_relative_to(root.resolve()):
            raise SourceOutsideRoot(
                f"{path} is not below {root}, the only folder this service enrols from."
            )


def _require_files(enrolment: Enrolment) -> None:
    """Raise if something is neither a file nor a folder: a pipe would be waited for without end."""
    for path in [enrolment.weights, *_sources(enrolment)]:
        found = Path(path).expanduser()
        if found.exists() and not (found.is_file() or found.is_dir()):
            kind = WeightsUnreadable if path == enrolment.weights else DatasetUnreadable
            raise kind(f"{path} is no regular file, but a pipe or a device. Name the file itself.")


def _sources(enrolment: Enrolment) -> list[str]:
    """Where the dataset lies, if it lies anywhere."""
    dataset = enrolment.dataset
    return [
        path for name in ("path", "manifest") if (path := getattr(dataset, name, None)) is not None
    ]
