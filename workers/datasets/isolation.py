"""Decoding images in processes of their own, which may die of one.

Decoders are large libraries that are fed what strangers have made. One that crashes takes its
process along; if that is not the run's, the run learns which image it was and does without it.
Several decode at once: a core decodes a hundred photographs in a second, and a GPU sees thousands.
And where a file is waited for without end, as on a mount that hangs, the run need not wait along.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import DatasetUnreadable
from models.processes import die_with_parent

# The samples that can be read, and what is wrong with the others, by position.
Readable = tuple[Tensor, dict[int, str]]
Read = Callable[[Sequence[int]], Readable]

# Fewer images are not worth another process.
LEAST = 4
# A process is waited for no longer than this: far longer than it takes to read what it is asked for
# over a slow network.
PATIENCE_S = 300.0

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

    def __call__(self, positions: Sequence[int]) -> Readable:
        """What `read` returns for `positions`; one that crashes it is one that cannot be read."""
        each = max(LEAST, -(-len(positions) // self.processes))
        parts = [positions[start : start + each] for start in range(0, len(positions), each)]
        asked = [
            (reader, part, reader.ask(part))
            for reader, part in zip(self._readers, parts or [positions], strict=False)
        ]
        return _joined([reader.answer(part, future) for reader, part, future in asked])


class _Process:
    """One of the processes, which is forked on first use and again after a crash."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._process: ProcessPoolExecutor | None = None
        # Of that process, as the first thing it is asked.
        self._pid: Future[int] | None = None

    def ask(self, positions: Sequence[int]) -> "Future[_Told]":
        """Have it read; it does so while others do."""
        if self._process is None:
            self._process = ProcessPoolExecutor(
                max_workers=1,
                # Whoever opened the dataset has done the work already; a fork inherits it.
                mp_context=multiprocessing.get_context("fork"),
                initializer=_begin,
                initargs=(self._read, os.getpid()),
            )
            self._pid = self._process.submit(os.getpid)
        try:
            return self._process.submit(_answer, list(positions))
        except BrokenProcessPool:
            # It has died of what it was asked before, to which nobody waited for an answer.
            self._process = None
            return self.ask(positions)

    def answer(self, positions: Sequence[int], asked: "Future[_Told]") -> Readable:
        """What it says to what it was asked; image by image, if it dies of one."""
        try:
            return self._understood(asked)
        except BrokenProcessPool:
            self._process = None
        return _joined([self._answer_for_one(position) for position in positions])

    def _answer_for_one(self, position: int) -> Readable:
        try:
            return self._understood(self.ask([position]))
        except BrokenProcessPool:
            self._process = None
        nothing, _ = self._understood(self.ask([]))
        return nothing, {position: f"The image at position {position} crashes its decoder."}

    def _understood(self, asked: "Future[_Told]") -> Readable:
        try:
            found, unreadable = asked.result(PATIENCE_S)
        except TimeoutError as error:
            assert self._pid is not None
            self._process = None
            os.kill(self._pid.result(), signal.SIGKILL)
            raise DatasetUnreadable(
                f"Images have not come within {PATIENCE_S:.0f} s. Is the dataset on a mount that "
                "does not answer?"
            ) from error
        return torch.from_numpy(found), unreadable


# Arrays go from process to process without further ado.
_Told = tuple[NDArray[np.float32], dict[int, str]]


def _joined(parts: Sequence[Readable]) -> Readable:
    unreadable: dict[int, str] = {}
    for _, wrong in parts:
        unreadable |= wrong
    return torch.cat([found for found, _ in parts]), unreadable


def _begin(read: Read, parent: int) -> None:
    global _read  # noqa: PLW0603  (one process reads one dataset)
    die_with_parent(parent)
    # The threads of the process it was forked from are not there.
    torch.set_num_threads(1)
    _read = read


def _answer(positions: Sequence[int]) -> _Told:
    assert _read is not None
    found, unreadable = _read(positions)
    return found.numpy(), unreadable
