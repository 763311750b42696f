"""Decoding images in a process of its own, which may die of one.

Decoders are large libraries that are fed what strangers have made. One that crashes takes its
process along; if that is not the run's, the run learns which image it was and does without it.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch
from torch import Tensor

from models.errors import SampleUnreadable
from models.processes import die_with_parent

Read = Callable[[Sequence[int]], Tensor]

# What the process of a reader reads with; it has no other.
_read: Read | None = None


class IsolatedReader:
    """Calls `read` in another process, which is forked on first use and again after a crash."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._process: ProcessPoolExecutor | None = None

    def __call__(self, positions: Sequence[int]) -> Tensor:
        """What `read` returns for `positions`.

        Raises what it raises, and `SampleUnreadable` for a position that crashes it.
        """
        try:
            return self._ask(positions)
        except BrokenProcessPool:
            self._process = None
        return torch.cat([self._ask_for_one(position) for position in positions])

    def _ask_for_one(self, position: int) -> Tensor:
        try:
            return self._ask([position])
        except BrokenProcessPool:
            self._process = None
            raise SampleUnreadable(
                f"The image at position {position} crashes its decoder.", position
            ) from None

    def _ask(self, positions: Sequence[int]) -> Tensor:
        if self._process is None:
            self._process = ProcessPoolExecutor(
                max_workers=1,
                # Whoever opened the dataset has done the work already; a fork inherits it.
                mp_context=multiprocessing.get_context("fork"),
                initializer=_begin,
                initargs=(self._read, os.getpid()),
            )
        found = self._process.submit(_answer, list(positions)).result()
        if isinstance(found, tuple):
            raise SampleUnreadable(*found)
        return torch.from_numpy(found)


def _begin(read: Read, parent: int) -> None:
    global _read  # noqa: PLW0603  (one process reads one dataset)
    die_with_parent(parent)
    # The threads of the process it was forked from are not there.
    torch.set_num_threads(1)
    _read = read


def _answer(positions: Sequence[int]) -> object:
    """The tensor as an array; or message and position, as the error's class cannot be pickled."""
    assert _read is not None
    try:
        return _read(positions).numpy()
    except SampleUnreadable as error:
        return str(error), error.position
