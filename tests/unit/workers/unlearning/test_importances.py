"""Fisher sums against the obvious loop, in float64, one sample and one parameter at a time."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.errors import NonFiniteGradient, NotEvaluable, SumsMismatch
from models.specifications import ArchitectureSpec
from tests.support.networks import shuffle_statistics
from workers.architectures import build
from workers.unlearning.batches import Batch
from workers.unlearning.importances import (
    Provenance,
    Sums,
    add_sums,
    fisher_sums,
    zero_sums,
)

CLASSES = 4


def oracle(network: nn.Module, samples: Batch, dtype: torch.dtype = torch.float64) -> Sums:
    """What the definition says, slowly: Σ over samples of (∂ cross-entropy / ∂ w)²."""
    twin = _twin(network).to(dtype)
    sums = {name: torch.zeros_like(p) for name, p in twin.named_parameters()}
    for image, label in zip(samples.inputs.to(dtype), samples.labels, strict=True):
        twin.zero_grad()
        logits = twin(image[None])[0]
        loss = -(logits[label] - torch.logsumexp(logits, 0))
        torch.autograd.backward(loss)
        for name, parameter in twin.named_parameters():
            if parameter.grad is not None:
                sums[name] += parameter.grad**2
    return {name: total.detach() for name, total in sums.items()}


def _twin(network: nn.Module) -> nn.Module:
    spec = network.spec
    assert isinstance(spec, ArchitectureSpec)
    twin = build(spec)
    twin.load_state_dict(network.state_dict())
    return twin.eval()


def make_network(name: str = "small_resnet", **options: int | bool) -> nn.Module:
    """A network in evaluation mode whose running statistics are not those of a fresh one."""
    spec = ArchitectureSpec(name=name, num_classes=CLASSES, options=options)
    torch.manual_seed(0)
    network = build(spec)
    shuffle_statistics(network)
    network.spec = spec  # type: ignore[assignment]
    return network.eval()


def make_samples(count: int, *, channels: int = 1, size: int = 8) -> Batch:
    """Random images and labels."""
    torch.manual_seed(count)
    images = torch.randn(count, channels, size, size)
    return Batch.of(images, torch.randint(0, CLASSES, (count,)))


def worst_relative_error(found: Sums, expected: Sums) -> float:
    """Per tensor, the largest error relative to the tensor's largest entry; the worst of them."""
    assert found.keys() == expected.keys()
    return max(
        float((found[name] - expected[name]).abs().max() / expected[name].abs().max().clamp(1e-300))
        for name in expected
    )


@pytest.mark.parametrize(
    ("name", "options", "channels", "size"),
    [
        ("small_resnet", {"in_channels": 1, "width": 8}, 1, 8),
        ("resnet18", {}, 3, 32),
        ("resnet18", {"cifar_stem": True}, 3, 16),
        ("squeezenet1_1", {}, 3, 32),
        ("vit_b_16", {"image_size": 16}, 3, 16),
    ],
)
def test_sums_equal_the_float64_loop_within_1e_5(
    name: str, options: dict[str, int | bool], channels: int, size: int
) -> None:
    network = make_network(name, **options)
    samples = make_samples(3, channels=channels, size=size)
    for reproducible in (False, True):
        found = fisher_sums(network, [samples], reproducible=reproducible)
        assert worst_relative_error(found, oracle(network, samples)) <= 1e-5


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 4), max_size=4),
    width=st.integers(1, 6),
    size=st.integers(4, 9),
)
def test_sums_of_any_batching_equal_the_loop(sizes: list[int], width: int, size: int) -> None:
    network = make_network(in_channels=1, width=width)
    samples = make_samples(sum(sizes), size=size)
    ends = list(itertools.accumulate(sizes, initial=0))
    batches = [samples.part(start, end) for start, end in itertools.pairwise(ends)]
    found = fisher_sums(network, batches)
    exact = oracle(network, samples)
    # A network of one channel may lose more in float32, however it is computed.
    plain = worst_relative_error(oracle(network, samples, torch.float32), exact)
    assert worst_relative_error(found, exact) <= max(1e-5, plain)


def test_no_samples_give_zeros_for_every_parameter() -> None:
    network = make_network(in_channels=1, width=4)
    for batches in ([], [make_samples(0)]):
        sums = fisher_sums(network, batches)
        assert sums.keys() == dict(network.named_parameters()).keys()
        assert all(not total.any() and total.dtype is torch.float64 for total in sums.values())


def test_reproducible_sums_agree_to_1e_13_in_any_order_and_batching() -> None:
    network = make_network(in_channels=1, width=8)
    samples = make_samples(30)
    whole = fisher_sums(network, [samples], reproducible=True)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    sharded = zero_sums(network)
    for shard in order.split(7):
        some = Batch(samples.inputs[shard], samples.labels[shard], samples.positions[shard])
        add_sums(sharded, fisher_sums(network, [some], reproducible=True))
    for name, total in whole.items():
        torch.testing.assert_close(sharded[name], total, rtol=1e-13, atol=0)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_sums_do_not_depend_on_the_batch_size_but_for_rounding(batch_size: int) -> None:
    network = make_network(in_channels=1, width=8)
    samples = make_samples(30)
    reference = fisher_sums(network, [samples])
    found = fisher_sums(network, [samples], batch_size=batch_size)
    assert worst_relative_error(found, reference) <= 1e-6


def test_sums_add_up_over_shards() -> None:
    network = make_network(in_channels=1, width=8)
    samples = make_samples(30)
    shards = [fisher_sums(network, [samples.part(s, s + 11)]) for s in (0, 11, 22)]
    total = zero_sums(network)
    for shard in shards:
        add_sums(total, shard)
    assert worst_relative_error(total, fisher_sums(network, [samples])) <= 1e-6


def test_a_repeated_pass_is_identical_to_the_last_bit() -> None:
    network = make_network(in_channels=1, width=8)
    batch = make_samples(5)
    first = fisher_sums(network, [batch])
    for _ in range(50):
        again = fisher_sums(network, [batch])
        assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_tiny_gradients_of_a_sample_the_network_is_certain_of_do_not_underflow() -> None:
    network = nn.Linear(1, 2, bias=False).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[60.0], [0.0]]))
    sample = Batch.of(torch.ones(1, 1), torch.tensor([0]))
    sums = fisher_sums(network, [sample])
    # In float32, 1 - p is 0, and so is the square of what it should be.
    assert sums["weight"].flatten().tolist() == pytest.approx([math.exp(-120)] * 2, rel=1e-6, abs=0)


def test_samples_of_very_different_magnitudes_share_a_batch_and_a_window() -> None:
    network = nn.Linear(1, 2, bias=False).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[60.0], [0.0]]))
    labels = torch.tensor([0, 1, 0])
    sums = fisher_sums(network, [Batch.of(torch.ones(3, 1), labels)], batch_size=1)
    assert sums["weight"].flatten().tolist() == pytest.approx([1.0, 1.0])


def test_a_parameter_that_is_used_twice_gets_the_square_of_its_whole_gradient() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, inputs: Tensor) -> Tensor:
            return self.second(torch.tanh(self.first(inputs)))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    network = Tied().eval()
    inputs, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for image, label in zip(inputs, labels, strict=True):
        network.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(image[None]), label[None]))
        assert network.first.weight.grad is not None
        expected += network.first.weight.grad.double() ** 2
    sums = fisher_sums(network, [Batch.of(inputs, labels)])
    assert list(sums) == ["first.weight"]
    torch.testing.assert_close(sums["first.weight"], expected)


def test_a_parameter_that_is_not_used_gets_zeros() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(2, 2)
            self.idle = nn.Linear(2, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.used(inputs)  # type: ignore[no-any-return]

    samples = Batch.of(torch.randn(3, 2), torch.tensor([0, 1, 1]))
    sums = fisher_sums(Idle().eval(), [samples])
    assert sums["used.weight"].all()
    assert not sums["idle.weight"].any()


def test_train_mode_is_refused_by_name() -> None:
    network = make_network(in_channels=1, width=4)
    network.get_submodule("stages" if hasattr(network, "stages") else "").train()
    with pytest.raises(NotEvaluable, match="train mode"):
        fisher_sums(network, [make_samples(1)])


def test_a_sample_with_nan_is_named_with_its_parameter() -> None:
    network = make_network(in_channels=1, width=4)
    samples = make_samples(5)
    samples.inputs[3] = torch.nan
    with pytest.raises(NonFiniteGradient, match=r"parameter '.+' .*position 3") as caught:
        fisher_sums(network, [samples.part(0, 2), samples.part(2, 5)])
    assert caught.value.position == 3


def test_the_network_is_left_as_it_was() -> None:
    network = make_network(in_channels=1, width=4)
    frozen = next(iter(network.parameters()))
    frozen.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fisher_sums(network, [make_samples(2)])
    assert not frozen.requires_grad
    assert all(p.requires_grad for p in itertools.islice(network.parameters(), 1, None))
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


@pytest.mark.parametrize(
    "field", ["weights", "manifest", "device", "estimator", "estimator_version"]
)
def test_sums_of_another_provenance_are_refused_by_what_differs(field: str) -> None:
    mine = Provenance(weights="w", manifest="m")
    other = Provenance(**{**vars(mine), field: 2 if field == "estimator_version" else "other"})
    mine.require_same(mine)
    with pytest.raises(SumsMismatch, match=field):
        mine.require_same(other)


def test_a_module_may_be_called_on_a_view_of_a_parameter() -> None:
    class Queried(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.randn(1, 3))
            self.project, self.head = nn.Linear(3, 3), nn.Linear(3, CLASSES)

        def forward(self, inputs: Tensor) -> Tensor:
            query = self.project(self.query.expand(len(inputs), -1))
            output: Tensor = self.head(inputs * query)
            return output

    torch.manual_seed(0)
    network = Queried().eval()
    samples = Batch.of(torch.randn(5, 3), torch.arange(5) % CLASSES)
    found = fisher_sums(network, [samples], reproducible=True)
    for name, total in fisher_sums(network, [samples]).items():
        torch.testing.assert_close(found[name], total, rtol=1e-5, atol=1e-12)
    assert all(parameter.requires_grad for parameter in network.parameters())
