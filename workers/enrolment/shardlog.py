"""The files in which an enrolment notes its sums so far, so that it goes on there if it is killed.

What is written belongs to one registered model, and to exactly these weights, samples and this
estimator; anything else starts anew, and so does what is damaged.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.durable import make_folder_durably
from models.errors import ShardsMissing, WeightsUnreadable
from workers.enrolment.portions import Portion
from workers.tensors import bytes_of, read_tensors, save_tensors
from workers.unlearning.importances import Sums, zero_sums


def fingerprint(**identity: object) -> str:
    """A name for what sums are sums of."""
    canonical = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class ShardLog:
    """The file in which the sums of a portion's first shards are kept.

    `content` says which samples these are, in which shards.
    """

    path: Path
    content: str

    def read(self, network: nn.Module) -> tuple[Sums, int]:
        """The sums, and how many shards they are of; of none if there is no whole file, or if it is
        damaged, another network's or of other samples.
        """
        try:
            sums, metadata = read_tensors(self.path)
        except WeightsUnreadable:
            return zero_sums(network), 0
        shards: int = metadata.get("shards", 0)
        outline = {name: (tensor.dtype, tensor.shape) for name, tensor in sums.items()}
        whole = metadata.get("sha256") == self._digest(sums, shards)
        if outline != _outline_of_sums(network) or not whole:
            return zero_sums(network), 0
        device = next(network.parameters()).device
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
            save_tensors(temporary, sums, {"shards": shards, "sha256": self._digest(sums, shards)})
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _digest(self, sums: Sums, shards: object) -> str:
        """Of all that a log says about a network, whose names and shapes are known."""
        digest = hashlib.sha256(f"{self.content}\n{shards}\n".encode())
        for name in sorted(sums):
            digest.update(bytes_of(sums[name]))
        return digest.hexdigest()


@dataclass(frozen=True)
class ShardLogs:
    """The logs of an enrolment's portions, in shards of so many samples.

    `path` is how their names begin.
    """

    path: Path
    shard_size: int

    def of(self, portion: Portion) -> ShardLog:
        """The portion's own."""
        name = "others" if portion.label is None else f"label-{portion.label}"
        return ShardLog(
            self.path.with_name(f"{self.path.name}-{name}.safetensors"),
            fingerprint(samples=portion.digest(), shard_size=self.shard_size),
        )

    def read_all(self, portion: Portion, network: nn.Module) -> Sums:
        """The portion's sums; raises `ShardsMissing` if they are not complete."""
        return self.of(portion).read_all(network, len(portion.shards(self.shard_size)))

    def discard(self) -> None:
        """All of them, those of portions with other bounds too."""
        for path in self.path.parent.glob(f"{self.path.name}-*"):
            path.unlink(missing_ok=True)


def _outline_of_sums(network: nn.Module) -> dict[str, tuple[torch.dtype, torch.Size]]:
    return {name: (torch.float64, value.shape) for name, value in network.named_parameters()}
