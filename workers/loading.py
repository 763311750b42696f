"""Reading samples ahead of the gradient pass, so that the device does not wait for images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

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
    dataset: Dataset,
    pieces: Sequence[Sequence[Position]],
    device: torch.device,
    *,
    loaders: int,
) -> Iterator[Iterator[Batch]]:
    """Of each piece its batches, in order; read by so many processes, or by this one if by none.

    The batches of a piece must be taken before the next piece is. Raises `SampleUnreadable` for the
    first batch with an image that cannot be read.
    """
    chunks = [
        [piece[start : start + BATCH] for start in range(0, len(piece), BATCH)] for piece in pieces
    ]
    loader = data.DataLoader(
        # A process that only reads is isolated already, and may not have children.
        _Batches(
            replace(dataset, reader=None) if loaders else dataset,
            list(chain.from_iterable(chunks)),
        ),
        batch_size=None,
        num_workers=loaders,
        pin_memory=device.type == "cuda",
    )
    arriving = _arriving(loader, device)
    for chunks_of_piece in chunks:
        yield islice(arriving, len(chunks_of_piece))


def _arriving(
    loader: "data.DataLoader[Batch | _Unreadable]", device: torch.device
) -> Iterator[Batch]:
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

    def __init__(self, dataset: Dataset, chunks: Sequence[Sequence[Position]]) -> None:
        self._dataset = dataset
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, number: int) -> Batch | _Unreadable:
        try:
            return one_batch(self._dataset, self._chunks[number], CPU)
        except SampleUnreadable as error:
            return _Unreadable(str(error), error.position)
