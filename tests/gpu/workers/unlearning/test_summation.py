"""A GPU whose memory really runs out: batches halve, and the sums are those of a larger one.

How much this process may have is limited to what some samples need and the whole batch does not.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from tests.unit.workers.unlearning.oracles import CLASSES, labelled, randn, worst_relative_error
from workers.unlearning.batches import Batch
from workers.unlearning.importances import fisher_sums

POSITIONS = 1 << 15
WIDTH = 64
COUNT = 16


class Wide(nn.Module):
    """Linear layers at very many positions: a hundred megabytes a sample, and few parameters.

    No convolutions: their library takes another algorithm where memory is short.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.embed = nn.Linear(2, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [b, classes] of inputs [b, positions, 2]."""
        self.seen.append(len(inputs))
        hidden = torch.tanh(self.mix(torch.tanh(self.embed(inputs))))
        logits: Tensor = self.head(hidden.mean(dim=1))
        return logits


@pytest.fixture
def network(device: torch.device) -> Wide:
    """In float64, so that a sample counted twice cannot pass for rounding."""
    torch.manual_seed(0)
    return Wide().double().eval().to(device)


@pytest.fixture
def samples(device: torch.device) -> Batch:
    """Of half a megabyte each; what the network makes of them is what fills the memory."""
    return labelled(randn(COUNT, POSITIONS, 2)).to(device)


@contextmanager
def limited(limit: int) -> Iterator[None]:
    """Inside, this process cannot have more than `limit` bytes of the GPU's memory."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties().total_memory
    torch.cuda.set_per_process_memory_fraction(limit / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def peaks(work: Callable[[], object]) -> tuple[int, int]:
    """The most bytes that were in use while it worked, and the most that had been taken."""
    # What libraries keep for themselves they take now.
    work()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def failures() -> int:
    """How often the GPU has refused memory until now."""
    count: int = torch.cuda.memory_stats()["num_ooms"]
    return count


# Between what 4 samples need and what 16 do: there is room for about 7 of them, or 15.
@pytest.mark.parametrize("share", [0.25, 0.9])
@pytest.mark.parametrize("reproducible", [False, True])
def test_batches_halve_when_the_gpu_runs_out_of_memory_and_the_sums_are_the_same(
    network: Wide, samples: Batch, share: float, reproducible: bool
) -> None:
    def sums(batch_size: int) -> dict[str, Tensor]:
        return fisher_sums(network, [samples], batch_size=batch_size, reproducible=reproducible)

    expected = sums(COUNT)
    _, enough = peaks(lambda: sums(COUNT // 4))
    needed, _ = peaks(lambda: sums(COUNT))
    assert enough < needed
    network.seen.clear()
    before = failures()
    with limited(int(enough + share * (needed - enough))):
        found = sums(COUNT)
    assert failures() > before
    assert network.seen[:2] == [COUNT, COUNT // 2]
    # What has once been too much is not tried again.
    assert network.seen == sorted(network.seen, reverse=True)
    assert worst_relative_error(found, expected) <= 1e-12


def test_a_single_sample_that_is_too_much_is_an_error_and_leaves_nothing_behind(
    network: Wide, device: torch.device
) -> None:
    # A gigabyte each: more than the process may hold on to from tests before.
    samples = labelled(randn(4, 8 * POSITIONS, 2)).to(device)

    def sums() -> dict[str, Tensor]:
        return fisher_sums(network, [samples], batch_size=1)

    expected = sums()
    needed, _ = peaks(sums)
    gc.collect()
    torch.cuda.empty_cache()
    in_use, taken = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    assert taken < needed
    network.seen.clear()
    with limited((taken + needed) // 2), pytest.raises(torch.OutOfMemoryError):
        fisher_sums(network, [samples], batch_size=4)
    assert network.seen == [4, 2, 1]
    assert all(parameter.requires_grad for parameter in network.parameters())
    gc.collect()
    assert torch.cuda.memory_allocated() == in_use
    assert worst_relative_error(sums(), expected) <= 1e-12
