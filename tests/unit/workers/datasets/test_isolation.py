"""Images that crash their decoder: the process that reads them dies, and the run does not."""

import faulthandler
import os
import signal
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.errors import SampleUnreadable
from workers.datasets.isolation import IsolatedReader


def read(positions: Sequence[int]) -> Tensor:
    """Position 13 crashes, 7 cannot be read, the others are their own number."""
    for position in positions:
        if position == 13:
            # It is meant to crash: no traceback needs to tell of it.
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGSEGV)
        if position == 7:
            raise SampleUnreadable("It is damaged.", 7)
    return torch.tensor([[float(position)] for position in positions])


def who_reads(positions: Sequence[int]) -> Tensor:
    """The process that reads each of them."""
    return torch.tensor([os.getpid()] * len(positions))


several = pytest.mark.parametrize("processes", [1, 3])


@several
@pytest.mark.parametrize("count", [0, 1, 4, 5, 12, 13, 40])
def test_what_is_read_elsewhere_is_what_would_be_read_here(processes: int, count: int) -> None:
    reader = IsolatedReader(read, processes)
    positions = [100 - position for position in range(count)]
    for _ in range(2):
        assert torch.equal(reader(positions), read(positions))


@several
def test_it_is_read_by_as_many_other_processes(processes: int) -> None:
    reader = IsolatedReader(who_reads, processes)
    found = set(reader(range(100)).tolist())
    assert (len(found), os.getpid() in found) == (processes, False)
    # And by these again.
    assert set(reader(range(100)).tolist()) == found


def test_a_few_images_are_not_spread_over_many_processes() -> None:
    reader = IsolatedReader(who_reads, 8)
    assert len(set(reader(range(5)).tolist())) == 2


@several
def test_the_first_image_that_cannot_be_read_keeps_its_error(processes: int) -> None:
    reader = IsolatedReader(read, processes)
    for positions in ([1, 7], [*range(20, 30), 7, *range(20, 30), 13]):
        with pytest.raises(SampleUnreadable, match="It is damaged") as raised:
            reader(positions)
        assert raised.value.position == 7


@several
@pytest.mark.parametrize("behind", [[4], [4, 5, 6, 8, 9, 13, 10, 11], [7] * 9])
def test_the_image_that_crashes_is_named_and_the_others_can_be_read_afterwards(
    processes: int, behind: list[int]
) -> None:
    reader = IsolatedReader(read, processes)
    with pytest.raises(SampleUnreadable, match="position 13 crashes its decoder") as raised:
        reader([1, 2, 13, *behind])
    assert raised.value.position == 13
    for positions in ([1, 2, 4], [*range(20, 40)]):
        assert torch.equal(reader(positions), read(positions))
