"""Reading samples ahead of the gradient pass, so that the device does not wait for images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils import data

from models.errors import SampleUnreadable
from workers.datasets import Dataset
from workers.datasets.source import Position
from workers.subjects import one_batch
from workers.unlearning.batches import Batch
from workers.unlearning.importances import BATCH

CPU = torch.device("cpu")


def load_ahead(
    dataset: Dataset, samples: Sequence[Position], device: torch.device, *, loaders: int
) -> Iterator[Batch]:
    """Batches of `samples`, in order, read by so many processes; by this one if there are none.

    Raises `SampleUnreadable` for the first batch with an image that cannot be read.
    """
    loader = data.DataLoader(
        # A process that only reads is isolated already, and may not have children.
        _Batches(replace(dataset, reader=None) if loaders else dataset, samples),
        batch_size=None,
        num_workers=loaders,
        pin_memory=device.type == "cuda",
    )
    for found in loader:
        if isinstance(found, _Unreadable):
            raise SampleUnreadable(found.message, found.position)
        yield found.to(device)


@dataclass(frozen=True)
class _Unreadable:
    """An error on its way from one process to another, which its class does not survive."""

    message: str
    position: int


class _Batches(data.Dataset[Batch | _Unreadable]):
    """The batches of a pass, by their number."""

    def __init__(self, dataset: Dataset, samples: Sequence[Position]) -> None:
        self._dataset = dataset
        self._samples = samples

    def __len__(self) -> int:
        return (len(self._samples) + BATCH - 1) // BATCH

    def __getitem__(self, number: int) -> Batch | _Unreadable:
        start = number * BATCH
        if start >= len(self._samples):
            raise IndexError(number)
        try:
            return one_batch(self._dataset, self._samples[start : start + BATCH], CPU)
        except SampleUnreadable as error:
            return _Unreadable(str(error), error.position)
