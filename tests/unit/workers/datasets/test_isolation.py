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


def test_what_is_read_elsewhere_is_what_would_be_read_here() -> None:
    reader = IsolatedReader(read)
    assert torch.equal(reader([3, 1, 2]), read([3, 1, 2]))
    assert reader([]).numel() == 0


def test_it_is_read_by_another_process() -> None:
    reader = IsolatedReader(lambda _positions: torch.tensor([os.getpid()]))
    assert int(reader([0])) != os.getpid()


def test_an_image_that_cannot_be_read_keeps_its_error() -> None:
    with pytest.raises(SampleUnreadable, match="It is damaged") as raised:
        IsolatedReader(read)([1, 7])
    assert raised.value.position == 7


def test_the_image_that_crashes_is_named_and_the_others_can_be_read_afterwards() -> None:
    reader = IsolatedReader(read)
    with pytest.raises(SampleUnreadable, match="position 13 crashes its decoder") as raised:
        reader([1, 2, 13, 4])
    assert raised.value.position == 13
    assert torch.equal(reader([1, 2, 4]), read([1, 2, 4]))
