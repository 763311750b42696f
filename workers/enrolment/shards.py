"""The pass over training samples: shard by shard, by one process or by several together.

After every shard the sums so far are written down, so an enrolment that was killed goes on where it
was. What is written belongs to one registered model, and to exactly these weights, samples and this
estimator; anything else starts anew, and so does what is damaged.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn

from models.durable import make_folder_durably
from models.errors import (
    DatasetUnreadable,
    SampleUnreadable,
    ShardsMissing,
    WeightsUnreadable,
)
from models.settings import Settings
from workers.datasets import Dataset
from workers.datasets.source import Position
from workers.loading import load_ahead
from workers.tensors import bytes_of, read_tensors, save_tensors
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator
from workers.unlearning.importances import Sums, add_sums, fisher_sums, zero_sums


def fingerprint(**identity: object) -> str:
    """A name for what sums are sums of."""
    canonical = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def shard_count(samples: int, size: int) -> int:
    """Shards of `size` samples, the last of which may have fewer."""
    return math.ceil(samples / size)


@dataclass(frozen=True)
class ShardLog:
    """The file in which the sums of the first shards are kept, one for each fingerprint."""

    path: Path

    def of_label(self, label: int | None) -> "ShardLog":
        """The log beside this one for samples of a label alone; this one if it is None."""
        if label is None:
            return self
        return ShardLog(self.path.with_stem(f"{self.path.stem}-label-{label}"))

    def read(self, network: nn.Module) -> tuple[Sums, int]:
        """The sums, and how many shards they are of; of none if there is no whole file, or if it is
        damaged or another network's.
        """
        none = zero_sums(network)
        try:
            sums, metadata = read_tensors(self.path)
        except WeightsUnreadable:
            return none, 0
        shards: int = metadata.get("shards", 0)
        if _outline(sums) != _outline(none) or metadata.get("sha256") != _digest(sums, shards):
            return none, 0
        device = _device(network)
        return {name: tensor.to(device) for name, tensor in sums.items()}, shards

    def read_all(self, network: nn.Module, shards: int) -> Sums:
        """The sums, which must be those of all `shards` shards; else raises `ShardsMissing`."""
        sums, done = self.read(network)
        if done != shards:
            raise ShardsMissing(
                f"{self.path} holds {done} of {shards} shards: it is incomplete, damaged or gone. "
                "Check the disk of the data folder, and that all processes see the same one; then "
                "enrol again."
            )
        return sums

    def write(self, sums: Sums, shards: int) -> None:
        """Replace the file, whole or not at all."""
        make_folder_durably(self.path.parent)
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            save_tensors(temporary, sums, {"shards": shards, "sha256": _digest(sums, shards)})
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def discard(self) -> None:
        """The sums are kept elsewhere now."""
        self.path.unlink(missing_ok=True)


def sum_shards(
    network: nn.Module,
    estimator: Estimator,
    dataset: Dataset,
    training: Sequence[Position],
    log: ShardLog,
    settings: Settings,
    advance: Callable[[int], None],
) -> Sums:
    """Fisher sums over `training`; `advance` is told of every so many samples that are done, those
    of other ranks included.

    In a group of `torch.distributed` every rank takes its share of each shard, and the first one
    gets the sums: others may not have its log. Raises `DatasetUnreadable` naming an image that
    cannot be read.
    """
    rank, ranks = _place()
    sums, done = log.read(network)
    done = _agreed(done)
    advance(min(done * settings.shard_size, len(training)))
    for shard, start in enumerate(range(0, len(training), settings.shard_size)):
        if shard < done:
            continue
        samples = training[start : start + settings.shard_size]
        mine = samples[rank::ranks]
        batches = load_ahead(dataset, mine, _device(network), loaders=settings.loaders)
        part = _sum(network, estimator, batches, lambda count: advance(count * ranks))
        if ranks > 1:
            for tensor in part.values():
                distributed.all_reduce(tensor)
        add_sums(sums, part)
        if rank == 0:
            log.write(sums, shard + 1)
    return sums


def _sum(
    network: nn.Module,
    estimator: Estimator,
    batches: Iterator[Batch],
    advance: Callable[[int], None],
) -> Sums:
    def counted() -> Iterator[Batch]:
        for batch in batches:
            yield batch
            advance(len(batch))

    try:
        return fisher_sums(network, counted(), estimator=estimator)
    except SampleUnreadable as error:
        raise DatasetUnreadable(str(error)) from error


def _outline(sums: Sums) -> dict[str, tuple[torch.dtype, torch.Size]]:
    return {name: (tensor.dtype, tensor.shape) for name, tensor in sums.items()}


def _digest(sums: Sums, shards: object) -> str:
    """Of everything that a log says about a network, whose names and shapes are known."""
    digest = hashlib.sha256(f"{shards}\n".encode())
    for name in sorted(sums):
        digest.update(bytes_of(sums[name]))
    return digest.hexdigest()


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _place() -> tuple[int, int]:
    """The rank of this process, and how many there are."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def _agreed(done: int) -> int:
    """How many shards are done, by the first rank's file: others may be on other machines."""
    if not distributed.is_initialized():
        return done
    value = torch.tensor([done])
    if distributed.get_backend() == "nccl":
        value = value.cuda()
    distributed.broadcast(value, src=0)
    return int(value)
