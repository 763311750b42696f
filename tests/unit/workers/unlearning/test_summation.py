"""Windows of samples: memory, magnitudes, what is not finite, and bit for bit the same again."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from models.errors import NonFiniteGradient
from models.specifications import ArchitectureSpec
from tests.unit.workers.unlearning.oracles import (
    labelled,
    oracle,
    randn,
    randomised,
    worst_relative_error,
)
from workers.architectures import build
from workers.unlearning.batches import Batch, joined
from workers.unlearning.estimators import Estimator, Power, empirical
from workers.unlearning.importances import add_sums, fisher_sums, zero_sums
from workers.unlearning.summation import WINDOW, windows

CLASSES = 4
# A network, and images for it.
Make = Callable[[], tuple[nn.Module, Tensor]]


class Cramped(nn.Module):
    """Runs out of memory on more than `room` samples at a time."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room = room
        self.error = error
        self.seen: list[int] = []
        self.layer = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [b, 3]."""
        self.seen.append(len(inputs))
        # Half of the work is done when memory runs out.
        hidden = self.layer(inputs)
        if len(inputs) > self.room:
            raise self.error
        return torch.tanh(hidden)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("reproducible", [False, True])
def test_batches_halve_when_memory_runs_out_and_the_sums_are_the_same(
    error: Exception, reproducible: bool
) -> None:
    network = Cramped(5, error).double().eval()
    samples = labelled(randn(23, 4))
    found = fisher_sums(network, [samples], batch_size=16, reproducible=reproducible)
    # What has once been too much is not tried again; of the last four, one is there to fill it up.
    assert network.seen == [16, 8, 4, 4, 4, 4, 4, 4]
    network.room = 23
    assert worst_relative_error(found, oracle(network, samples)) <= 1e-12


def test_memory_that_runs_out_behind_the_first_batch_leaves_nothing_counted_twice() -> None:
    class Growing(Cramped):
        def forward(self, inputs: Tensor) -> Tensor:
            self.room = 64 if len(self.seen) < 2 else 10
            return super().forward(inputs)

    network = Growing(64, torch.OutOfMemoryError()).double().eval()
    samples = labelled(randn(48, 4))
    found = fisher_sums(network, [samples], batch_size=16)
    assert network.seen == [16, 16, 16, 8, 8, 8, 8, 8, 8]
    assert worst_relative_error(found, oracle(network, samples)) <= 1e-12


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_a_single_sample_that_is_too_much_is_an_error(error: Exception) -> None:
    network = Cramped(0, error).double().eval()
    with pytest.raises(type(error)) as caught:
        fisher_sums(network, [labelled(randn(5, 4))], batch_size=8)
    assert caught.value is error
    assert network.seen == [8, 4, 2, 1]
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_any_other_error_comes_through_at_once() -> None:
    network = Cramped(0, RuntimeError("shapes do not match")).double().eval()
    with pytest.raises(RuntimeError, match="shapes do not match"):
        fisher_sums(network, [labelled(randn(5, 4))])
    assert network.seen == [8]


def test_a_window_that_overflows_though_every_sample_is_finite_is_right() -> None:
    network = nn.Linear(1, 3).eval()
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    # ((1/3 - 1) · 1.5e19)² is 1e38; four of these are more than float32 holds.
    inputs = torch.full((5, 1), 1.5e19)
    samples = Batch.of(inputs, torch.zeros(5, dtype=torch.int64))
    found = fisher_sums(network, [samples])
    expected = oracle(network, samples)
    assert expected["weight"].max() > torch.finfo(torch.float32).max
    assert worst_relative_error(found, expected) <= 1e-6


@pytest.mark.parametrize("position", [0, 5, 300, 699])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_a_sample_that_is_not_finite_is_named_by_its_position_in_its_dataset(
    position: int, batch_size: int
) -> None:
    inputs = randn(700, 4).float()
    inputs[position, 2] = torch.nan
    samples = Batch(inputs, torch.arange(700) % 3, torch.arange(700) * 2 + 1000)
    batches = [samples.part(start, start + 50) for start in range(0, 700, 50)]
    with pytest.raises(NonFiniteGradient, match=rf"position {position * 2 + 1000}\.") as caught:
        fisher_sums(nn.Linear(4, 3).eval(), batches, batch_size=batch_size)
    assert caught.value.position == position * 2 + 1000


def test_of_two_samples_that_are_not_finite_the_first_is_named() -> None:
    inputs = randn(9, 4).float()
    inputs[7] = torch.inf
    inputs[3] = torch.nan
    with pytest.raises(NonFiniteGradient, match=r"'(weight|bias)' .* position 3\."):
        fisher_sums(nn.Linear(4, 3).eval(), [labelled(inputs)])


@settings(max_examples=40)
@given(
    gaps=st.lists(st.integers(1, 340), min_size=1, max_size=12),
    batch_size=st.integers(1, 12),
    reproducible=st.booleans(),
)
def test_samples_of_any_magnitudes_share_a_window(
    gaps: list[int], batch_size: int, reproducible: bool
) -> None:
    # A sample's gradient is about its input times e to the minus its input: down to 1e-145.
    network = nn.Linear(1, 2, bias=False).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0], [0.0]]))
    inputs = torch.tensor(gaps).float()[:, None]
    samples = Batch.of(inputs, torch.zeros(len(gaps), dtype=torch.int64))
    found = fisher_sums(network, [samples], batch_size=batch_size, reproducible=reproducible)
    # log(1 + e^-x) has the derivative -1 / (1 + e^x), which is the unlikely class's probability.
    # The likely class's row is 1 less another probability, and as inexact as that difference is.
    expected = math.fsum((gap / (1 + math.exp(gap))) ** 2 for gap in gaps)
    assert float(found["weight"][1]) == pytest.approx(expected, rel=1e-5, abs=0)


@pytest.mark.parametrize("certainty", [4, 7, 10, 12, 20, 33])
def test_next_to_a_gradient_one_1e_18_as_large_does_not_underflow(certainty: int) -> None:
    network = nn.Linear(2, 2, bias=False).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[float(certainty), 0.0], [0.0, 0.0]]))
    samples = Batch.of(torch.tensor([[1.0, 1e-18]] * 3), torch.zeros(3, dtype=torch.int64))
    found = fisher_sums(network, [samples])["weight"][1]
    unlikely = 1 / (1 + math.exp(certainty))
    expected = [3 * unlikely**2, 3 * (unlikely * 1e-18) ** 2]
    assert found.tolist() == pytest.approx(expected, rel=1e-5, abs=0)


def test_gradients_that_are_all_zero_leave_the_others_as_they_are() -> None:
    network = nn.Linear(1, 2, bias=False).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0], [0.0]]))
    inputs = torch.tensor([[5.0], [0.0], [0.0], [200.0], [0.0], [5.0]])
    samples = Batch.of(inputs, torch.zeros(6, dtype=torch.int64))
    found = fisher_sums(network, [samples], batch_size=1)
    expected = 2 * (5 / (1 + math.exp(5))) ** 2
    assert found["weight"].flatten().tolist() == pytest.approx([expected] * 2, rel=1e-5, abs=0)


@given(sizes=st.lists(st.integers(0, 300), max_size=8))
def test_windows_hold_the_same_samples_in_the_same_order(sizes: list[int]) -> None:
    count = sum(sizes)
    whole = Batch.of(torch.arange(count)[:, None], torch.zeros(count, dtype=torch.int64))
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    batches = [whole.part(start, end) for start, end in itertools.pairwise(ends)]
    found = list(windows(batches))
    assert all(len(window) >= WINDOW for window in found[:-1])
    if batches:
        assert joined(found).positions.tolist() == list(range(count))
        assert joined(found).inputs.flatten().tolist() == list(range(count))
    else:
        assert found == []


def test_several_windows_add_up() -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).eval()
    samples = labelled(randn(600, 4).float())
    found = fisher_sums(network, [samples.part(s, s + 90) for s in range(0, 600, 90)])
    assert worst_relative_error(found, oracle(network, samples)) <= 2e-6


def _small_resnet() -> tuple[nn.Module, Tensor]:
    spec = ArchitectureSpec(
        name="small_resnet", num_classes=CLASSES, options={"in_channels": 1, "width": 8}
    )
    torch.manual_seed(0)
    network = build(spec)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            randomised(module)
    return network, randn(21, 1, 8, 8).float()


def _tiny_vit() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    network = VisionTransformer(
        image_size=16,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=24,
        num_classes=CLASSES,
    )
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
    return network.eval(), randn(21, 3, 16, 16).float()


@pytest.mark.parametrize("make", [_small_resnet, _tiny_vit])
def test_a_reproducible_sum_does_not_show_who_shared_a_batch(make: Make) -> None:
    network, images = make()
    samples = labelled(images, CLASSES)
    whole = fisher_sums(network, [samples], reproducible=True)
    assert worst_relative_error(whole, oracle(network, samples)) <= 1e-5

    generator = torch.Generator().manual_seed(0)
    for size in (1, 4, 21):
        total = zero_sums(network)
        for rows in torch.randperm(21, generator=generator).split(size):
            part = Batch(samples.inputs[rows], samples.labels[rows], samples.positions[rows])
            add_sums(total, fisher_sums(network, [part], reproducible=True))
        for name, expected in whole.items():
            torch.testing.assert_close(total[name], expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("make", [_small_resnet, _tiny_vit])
def test_a_sample_contributes_the_same_bits_whoever_shares_its_batch(make: Make) -> None:
    network, images = make()
    samples = labelled(images, CLASSES)

    def only_the_fifth(logits: Tensor, batch: Batch) -> Tensor:
        return empirical().of_logits(logits, batch) * (batch.positions == 5)[:, None]

    estimator = Estimator("fifth", 1, Power.SQUARE, only_the_fifth)
    alone = fisher_sums(network, [samples.part(5, 6)], estimator=estimator, reproducible=True)
    assert all(total.any() for total in alone.values())
    for first, last in ((5, 7), (4, 9), (2, 6), (0, 8), (3, 20)):
        beside = fisher_sums(
            network, [samples.part(first, last)], estimator=estimator, reproducible=True
        )
        assert all(torch.equal(beside[name], total) for name, total in alone.items())
