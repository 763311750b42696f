"""Reading samples ahead of the gradient pass, so that the device does not wait for images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice

import torch
from torch.utils import data

from models.errors import DatasetUnreadable, ExpungeError, ReaderDied, SampleUnreadable
from workers.datasets import Dataset
from workers.datasets.source import Position
from workers.subjects import one_batch
from workers.unlearning.batches import Batch
from workers.unlearning.importances import BATCH

CPU = torch.device("cpu")
# How PyTorch's loader begins to say that one of its processes is gone.
DIED = "DataLoader worker"


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


@contextmanager
def dead_readers_named() -> Iterator[None]:
    """Inside, that one of the processes has ended is `ReaderDied`.

    PyTorch says so wherever the program is at the moment, not only where it waits for a batch.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(DIED):
            raise
        raise ReaderDied(
            "A process that reads images has died, for want of memory perhaps. Set "
            "EXPUNGE_LOADERS to fewer, then enrol again: complete shards are not computed twice."
        ) from error


def _arriving(loader: "data.DataLoader[Batch | _Refused]", device: torch.device) -> Iterator[Batch]:
    for found in loader:
        if isinstance(found, _Refused):
            raise found.error()
        yield found.to(device)


@dataclass(frozen=True)
class _Refused:
    """An error on its way from one process to another, which its class does not survive.

    Of an image at a position, or of the dataset.
    """

    message: str
    position: int | None

    def error(self) -> ExpungeError:
        """As it was raised there."""
        if self.position is None:
            return DatasetUnreadable(self.message)
        return SampleUnreadable(self.message, self.position)


class _Batches(data.Dataset[Batch | _Refused]):
    """The batches of a pass, by their number."""

    def __init__(self, dataset: Dataset, chunks: Sequence[Sequence[Position]]) -> None:
        self._dataset = dataset
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, number: int) -> Batch | _Refused:
        try:
            return one_batch(self._dataset, self._chunks[number], CPU)
        except SampleUnreadable as error:
            return _Refused(str(error), error.position)
        except DatasetUnreadable as error:
            return _Refused(str(error), None)
