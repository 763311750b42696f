"""Images that crash their decoder: the process that reads them dies, and the run does not."""

import faulthandler
import multiprocessing
import os
import signal
from collections.abc import Sequence

import pytest
import torch

from models.errors import DatasetUnreadable
from workers.datasets import isolation
from workers.datasets.isolation import IsolatedReader, Readable

GONE = "The folder is gone."


def read(positions: Sequence[int]) -> Readable:
    """Position 13 crashes, 7 cannot be read, at 5 everything ends; the others are their number."""
    for position in positions:
        if position == 13:
            # It is meant to crash: no traceback needs to tell of it.
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGSEGV)
        if position == 5:
            raise DatasetUnreadable(GONE)
    readable = [[float(position)] for position in positions if position != 7]
    found = torch.tensor(readable).view(-1, 1)
    return found, {position: "It is damaged." for position in positions if position == 7}


def who_reads(positions: Sequence[int]) -> Readable:
    """The process that reads each of them."""
    return torch.tensor([float(os.getpid())] * len(positions)), {}


def require(found: Readable, positions: Sequence[int], unreadable: dict[int, str]) -> None:
    assert found[0].flatten().tolist() == [p for p in positions if p not in unreadable]
    # The first of them is the first that was asked for.
    assert list(found[1].items()) == list(unreadable.items())


several = pytest.mark.parametrize("processes", [1, 3])


@several
@pytest.mark.parametrize("count", [0, 1, 4, 5, 12, 13, 40])
def test_what_is_read_elsewhere_is_what_would_be_read_here(processes: int, count: int) -> None:
    reader = IsolatedReader(read, processes)
    positions = [100 - position for position in range(count)]
    for _ in range(2):
        require(reader(positions), positions, {})


@several
def test_it_is_read_by_as_many_other_processes(processes: int) -> None:
    reader = IsolatedReader(who_reads, processes)
    found = set(reader(range(100))[0].tolist())
    assert (len(found), os.getpid() in found) == (processes, False)
    # And by these again.
    assert set(reader(range(100))[0].tolist()) == found


def test_a_few_images_are_not_spread_over_many_processes() -> None:
    assert len(set(IsolatedReader(who_reads, 8)(range(5))[0].tolist())) == 2


@several
def test_an_image_that_cannot_be_read_is_told_beside_those_that_can(processes: int) -> None:
    reader = IsolatedReader(read, processes)
    for positions in ([7], [1, 7], [*range(20, 30), 7, *range(30, 40)]):
        require(reader(positions), positions, {7: "It is damaged."})


@several
@pytest.mark.parametrize("others", [[], [4], [4, 6, 8, 9, 10, 11, 12], [*range(20, 60)]])
def test_the_image_that_crashes_is_named_and_the_others_are_read(
    processes: int, others: list[int]
) -> None:
    reader = IsolatedReader(read, processes)
    crashes = "The image at position 13 crashes its decoder."
    positions = [1, 13, *others, 7]
    require(reader(positions), positions, {13: crashes, 7: "It is damaged."})
    require(reader(others), others, {})


@several
def test_what_ends_everything_is_raised_and_another_crash_beside_it_does_no_harm(
    processes: int,
) -> None:
    reader = IsolatedReader(read, processes)
    with pytest.raises(DatasetUnreadable, match=GONE):
        reader([5, 1, 2, 3, 4, 13, 6, 8, 9, 10, 11, 12])
    positions = [*range(20, 60)]
    require(reader(positions), positions, {})


@several
def test_images_that_never_come_are_not_waited_for_without_end(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, _ = os.pipe()

    def hang(positions: Sequence[int]) -> Readable:
        if 31 in positions:
            os.read(never, 1)
        return read(positions)

    monkeypatch.setattr(isolation, "PATIENCE_S", 0.2)
    reader = IsolatedReader(hang, processes)
    with pytest.raises(DatasetUnreadable, match="mount that does not answer"):
        reader(range(20, 32))
    positions = [*range(40, 60)]
    require(reader(positions), positions, {})


def test_all_read_at_once() -> None:
    # Nobody passes it before all three are there.
    barrier = multiprocessing.get_context("fork").Barrier(3, timeout=10)

    def read_together(positions: Sequence[int]) -> Readable:
        barrier.wait()
        return read(positions)

    positions = range(20, 40)
    require(IsolatedReader(read_together, 3)(positions), positions, {})
