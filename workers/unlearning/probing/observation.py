"""What a network makes of samples, one by one; every figure of a verdict is counted from this."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workers.unlearning.batches import Batch
from workers.unlearning.memory import is_out_of_memory
from workers.unlearning.probing.intervals import Estimate, mean, share


@dataclass(frozen=True, eq=False)
class Observed:
    """Samples as one network sees them, in the order in which they came.

    `positions` and `labels` int64 [n]; `loss` float64 [n], cross-entropy in nats; `right` bool [n],
    whether the label has the highest output; `entropy` float64 [n] of the prediction, in nats.
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int64]
    loss: NDArray[np.float64]
    right: NDArray[np.bool_]
    entropy: NDArray[np.float64]

    @classmethod
    def together(cls, pieces: Sequence["Observed"]) -> "Observed":
        """What was observed of different samples, in one piece or more; by position."""
        columns = zip(*(vars(piece).values() for piece in pieces), strict=True)
        positions, *others = (np.concatenate(column) for column in columns)
        order = np.argsort(positions, kind="stable")
        return cls(positions[order], *(column[order] for column in others))

    def __len__(self) -> int:
        return len(self.positions)

    def where(self, chosen: NDArray[np.bool_]) -> "Observed":
        """The samples for which `chosen` [n] is true."""
        return Observed(*(values[chosen] for values in vars(self).values()))

    def at(self, positions: Collection[int]) -> "Observed":
        """The samples at these positions, as far as they were observed."""
        return self.where(np.isin(self.positions, np.fromiter(positions, np.int64)))

    def of(self, labels: Collection[int]) -> "Observed":
        """The samples of these labels."""
        return self.where(np.isin(self.labels, np.fromiter(labels, np.int64)))

    def without(self, labels: Collection[int]) -> "Observed":
        """The samples of all other labels."""
        return self.where(~np.isin(self.labels, np.fromiter(labels, np.int64)))

    def by_label(self) -> dict[int, "Observed"]:
        """The samples of each label that there is, by label."""
        return {label: self.of([label]) for label in np.unique(self.labels).tolist()}

    @property
    def accuracy(self) -> float | None:
        """Share classified right, or None of no samples."""
        return float(self.right.mean()) if len(self) else None

    @property
    def accuracy_estimate(self) -> Estimate | None:
        """Share classified right with its interval, or None of no samples."""
        return share(int(self.right.sum()), len(self))

    @property
    def loss_estimate(self) -> Estimate | None:
        """Mean loss with its interval, or None of no samples. No loss is below 0."""
        found = mean(self.loss)
        return found and replace(found, low=max(0.0, found.low))


@torch.no_grad()
def observe(network: nn.Module, batches: Iterable[Batch]) -> Observed:
    """Look at every sample once. The network must be in evaluation mode."""
    columns: list[list[torch.Tensor]] = [[] for _ in range(5)]
    layout = torch.channels_last
    for batch in batches:
        raw, layout = _laid_out(network, batch.inputs, layout)
        outputs = raw.double()
        log_shares = nn.functional.log_softmax(outputs, dim=1)
        labels = batch.labels
        seen = (
            batch.positions,
            labels,
            -log_shares.gather(1, labels[:, None])[:, 0],
            # Of outputs that are no numbers none is the highest, though PyTorch picks one.
            (outputs.argmax(dim=1) == labels) & ~outputs.isnan().any(dim=1),
            # A share of 0 adds nothing, though its logarithm is -inf.
            -torch.nan_to_num(log_shares.exp() * log_shares).sum(dim=1),
        )
        for column, values in zip(columns, seen, strict=True):
            column.append(values.cpu())
    kinds = (torch.int64, torch.int64, torch.float64, torch.bool, torch.float64)
    return Observed(
        *(
            torch.cat([torch.empty(0, dtype=kind), *column]).numpy()
            for kind, column in zip(kinds, columns, strict=True)
        )
    )


def _laid_out(
    network: nn.Module, inputs: torch.Tensor, layout: torch.memory_format
) -> tuple[torch.Tensor, torch.memory_format]:
    """Outputs, and the layout of images that they are of.

    On CPUs most networks are fastest where a pixel's channels lie together. Some cannot look at
    images so: those that take a view of values as if they lay in another order.
    """
    if inputs.ndim == 4 and inputs.device.type == "cpu" and layout is torch.channels_last:
        # Whatever else is wrong is raised again below.
        with suppress(RuntimeError):
            return _outputs(network, inputs, layout), layout
    return _outputs(network, inputs, torch.preserve_format), torch.preserve_format


def _outputs(network: nn.Module, inputs: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """Of all inputs at once, or of halves of them while the device runs out of memory."""
    try:
        # A network may change what it is given, and batches are kept and looked at again.
        outputs: torch.Tensor = network(inputs.clone(memory_format=layout))
    except (RuntimeError, MemoryError) as error:
        if len(inputs) == 1 or not is_out_of_memory(error):
            raise
    else:
        return outputs
    # Only out here has the failed pass let go of its memory.
    half = len(inputs) // 2
    halves = (inputs[:half], inputs[half:])
    return torch.cat([_outputs(network, each, layout) for each in halves])
