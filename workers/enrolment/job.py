"""What the processes of an enrolment are told: where everything lies, and what has to lie there.

The process that has the lease writes it to a file; the first of the others reads that and sends it
to the rest, which may be on machines that see neither the file nor the same weights and images.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.errors import DuplicateSamples, InvalidSampleId, NodeDiffers
from models.specifications import Enrolment
from workers.enrolment.preparation import Prepared, prepare
from workers.enrolment.shardlog import ShardLogs
from workers.subjects import DIGESTS
from workers.tensors import parse_tensors, save_tensors


@dataclass(frozen=True)
class Job:
    """The labels `apart` and all others are to be summed, over exactly these samples."""

    enrolment: Enrolment
    apart: list[int]
    logs: ShardLogs
    # The kind of it: sums of another are other sums.
    device: str
    # Digests of the weights, of the samples and their labels, and of every image, uint8 [n, 8].
    weights: str
    manifest: str
    images: Tensor

    @classmethod
    def of(
        cls, enrolment: Enrolment, prepared: Prepared, apart: list[int], logs: ShardLogs
    ) -> "Job":
        """That of an enrolment whose images have been digested."""
        assert prepared.indexed.dataset.digests is not None
        return cls(
            enrolment,
            apart,
            logs,
            prepared.device.type,
            prepared.weights_digest(),
            prepared.indexed.manifest_digest,
            prepared.indexed.dataset.digests,
        )

    def write(self, path: Path) -> None:
        """As a file that `parse` understands the bytes of."""
        told = {
            "enrolment": self.enrolment.model_dump(mode="json", by_alias=True),
            "apart": self.apart,
            "logs": str(self.logs.path),
            "shard_size": self.logs.shard_size,
            "device": self.device,
            "weights": self.weights,
            "manifest": self.manifest,
        }
        save_tensors(path, {DIGESTS: self.images}, told)

    @classmethod
    def parse(cls, content: bytearray) -> "Job":
        """The job in the bytes of such a file."""
        tensors, told = parse_tensors(content)
        return cls(
            Enrolment.model_validate(told["enrolment"]),
            told["apart"],
            ShardLogs(Path(told["logs"]), told["shard_size"]),
            told["device"],
            told["weights"],
            told["manifest"],
            tensors[DIGESTS],
        )

    def prepared(self, root: Path | None, device: torch.device) -> Prepared:
        """What this machine sums of it; no other image is taken for one that is meant.

        Raises what `prepare` raises, and `NodeDiffers` if something here is not what is meant.
        """
        if device.type != self.device:
            raise NodeDiffers(
                f"This machine computes on {device.type!r} and the first one on {self.device!r}, "
                "which sums differently. Set EXPUNGE_DEVICE alike on all machines."
            )
        other_samples = NodeDiffers(
            "The dataset has other samples or labels here than on the first machine, or in "
            "another order. Give all machines the same."
        )
        try:
            # The first process has looked for a million files, and this one will read its share.
            prepared = prepare(self.enrolment, root, device, looks_for_all=False)
        except (DuplicateSamples, InvalidSampleId):
            # They name samples, which is for the log of no machine; the first has not found any.
            raise other_samples from None
        if prepared.weights_digest() != self.weights:
            raise NodeDiffers(
                f"{self.enrolment.weights} has other weights here than on the first machine. Give "
                "all machines the same file."
            )
        if prepared.indexed.manifest_digest != self.manifest:
            raise other_samples
        return prepared.of_images(self.images)
