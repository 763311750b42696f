"""Decoding images in processes of their own, which may die of one.

Decoders are large libraries that are fed what strangers have made. One that crashes takes its
process along; if that is not the run's, the run learns which image it was and does without it.
Several decode at once: a core decodes a hundred photographs in a second, and a GPU sees thousands.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import torch
from torch import Tensor

from models.errors import SampleUnreadable
from models.processes import die_with_parent

Read = Callable[[Sequence[int]], Tensor]

# Fewer images are not worth another process.
LEAST = 4

# What the process of a reader reads with; it has no other.
_read: Read | None = None


class IsolatedReader:
    """Calls `read` in other processes, in each for a part of what is asked for."""

    def __init__(self, read: Read, processes: int = 1) -> None:
        self._readers = [_Process(read) for _ in range(processes)]

    @property
    def processes(self) -> int:
        """How many of them there are."""
        return len(self._readers)

    def __call__(self, positions: Sequence[int]) -> Tensor:
        """What `read` returns for `positions`.

        Raises what it raises, and `SampleUnreadable` for a position that crashes it: for the first
        one with which something is wrong.
        """
        each = max(LEAST, -(-len(positions) // self.processes))
        parts = [positions[start : start + each] for start in range(0, len(positions), each)]
        asked = [
            (reader, part, reader.ask(part))
            for reader, part in zip(self._readers, parts or [positions], strict=False)
        ]
        return torch.cat([reader.answer(part, future) for reader, part, future in asked])


class _Process:
    """One of the processes, which is forked on first use and again after a crash."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._process: ProcessPoolExecutor | None = None

    def answer(self, positions: Sequence[int], asked: "Future[object]") -> Tensor:
        """What it says to what it was asked; image by image, if it dies of one."""
        try:
            return _understood(asked)
        except BrokenProcessPool:
            self._process = None
        return torch.cat([self._answer_for_one(position) for position in positions])

    def _answer_for_one(self, position: int) -> Tensor:
        try:
            return _understood(self.ask([position]))
        except BrokenProcessPool:
            self._process = None
            raise SampleUnreadable(
                f"The image at position {position} crashes its decoder.", position
            ) from None

    def ask(self, positions: Sequence[int]) -> "Future[object]":
        """Have it read; it does so while others do."""
        if self._process is None:
            self._process = ProcessPoolExecutor(
                max_workers=1,
                # Whoever opened the dataset has done the work already; a fork inherits it.
                mp_context=multiprocessing.get_context("fork"),
                initializer=_begin,
                initargs=(self._read, os.getpid()),
            )
        try:
            return self._process.submit(_answer, list(positions))
        except BrokenProcessPool as error:
            # It has died of what it was asked last, which nobody wanted to know any more.
            broken: Future[object] = Future()
            broken.set_exception(error)
            return broken


def _understood(asked: "Future[object]") -> Tensor:
    found = asked.result()
    if isinstance(found, tuple):
        raise SampleUnreadable(*found)
    assert isinstance(found, np.ndarray)
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
