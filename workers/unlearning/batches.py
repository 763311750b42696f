"""What the numerics take in: some samples, as tensors."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples, none or more.

    `inputs` [b, channels, height, width], `labels` int64 [b], and `positions` int64 [b]: each
    sample's place in its dataset, which is its name here.
    """

    inputs: Tensor
    labels: Tensor
    positions: Tensor

    @classmethod
    def of(cls, inputs: Tensor, labels: Tensor) -> "Batch":
        """All samples of a dataset, or samples whose place in one is of no importance."""
        return cls(inputs, labels, torch.arange(len(inputs)))

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; positions stay where Python reads them."""
        return Batch(
            self.inputs.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.positions,
        )

    def pin_memory(self) -> "Batch":
        """The batch where devices copy from without waiting; PyTorch's loader calls it."""
        return Batch(self.inputs.pin_memory(), self.labels.pin_memory(), self.positions)

    def part(self, start: int, stop: int) -> "Batch":
        """The samples from `start` to before `stop`."""
        return Batch(self.inputs[start:stop], self.labels[start:stop], self.positions[start:stop])

    def padded(self, size: int) -> "Batch":
        """At least `size` samples: the last one is repeated. There must be one."""
        return self.rows(torch.arange(max(size, len(self))).clamp_(max=len(self) - 1))

    def rows(self, rows: Tensor) -> "Batch":
        """The samples that `rows` picks, by index or by mask."""
        return Batch(
            self.inputs[rows.to(self.inputs.device)],
            self.labels[rows.to(self.labels.device)],
            self.positions[rows.to(self.positions.device)],
        )


def among(batches: Iterable[Batch], positions: Collection[int]) -> Iterator[Batch]:
    """The samples at these positions, as far as they are there, in batches as they come."""
    wanted = torch.tensor(sorted(positions), dtype=torch.int64)
    for batch in batches:
        picked = torch.isin(batch.positions, wanted)
        if picked.any():
            yield batch if picked.all() else batch.rows(picked)


def joined(batches: Sequence[Batch]) -> Batch:
    """All samples of one batch or more, in order."""
    if len(batches) == 1:
        return batches[0]
    return Batch(
        torch.cat([batch.inputs for batch in batches]),
        torch.cat([batch.labels for batch in batches]),
        torch.cat([batch.positions for batch in batches]),
    )
