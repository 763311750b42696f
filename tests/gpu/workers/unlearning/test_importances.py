"""Fisher sums on the GPU: every estimator, any batches, and the same bits again."""

import math

import pytest
import torch
from torch import Tensor, nn

from models.errors import NonFiniteGradient
from tests.gpu.networks import Family, Make, moved, on_cpu, shades, small_resnet, small_vit
from tests.unit.workers.unlearning.oracles import (
    CLASSES,
    oracle,
    squared_norm,
    worst_relative_error,
)
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator, empirical, label_free, predictive
from workers.unlearning.importances import (
    Sums,
    add_sums,
    fisher_sums,
    sums_by_label,
    zero_sums,
)
from workers.unlearning.loops.gpu import can_compile
from workers.unlearning.per_sample import window

REPETITIONS = 10
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 5e-6)]


@pytest.mark.parametrize(
    "estimator", [empirical(), label_free(), predictive(7)], ids=lambda estimator: estimator.name
)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("reproducible", [False, True])
def test_sums_of_every_estimator_equal_the_float64_loop_on_the_cpu(
    device: torch.device,
    estimator: Estimator,
    dtype: torch.dtype,
    tolerance: float,
    reproducible: bool,
) -> None:
    network, samples = small_resnet(30)
    there, its_samples = moved(network, samples, device, dtype)
    found = fisher_sums(there, [its_samples], estimator=estimator, reproducible=reproducible)
    assert worst_relative_error(on_cpu(found), _by_loop(network, samples, estimator)) <= tolerance


def _by_loop(network: nn.Module, samples: Batch, estimator: Estimator) -> Sums:
    if estimator.name == "label_free":
        return oracle(network, samples, squared_norm, absolute=True)
    return oracle(network, _labelled_by(estimator, network, samples))


def _labelled_by(estimator: Estimator, network: nn.Module, samples: Batch) -> Batch:
    """The samples with the labels at which the estimator takes the loss, as the CPU has them."""
    with torch.no_grad():
        logits = network(samples.inputs)
    # Of the cross-entropy's gradients only the one at the label is negative.
    labels = estimator.output_gradients(logits, samples).argmin(dim=1)
    return Batch(samples.inputs, labels, samples.positions)


def test_sums_are_float64_and_stay_on_the_networks_device(device: torch.device) -> None:
    network, samples = moved(*small_resnet(3), device, torch.float32)
    for batches in ([samples], []):
        sums = fisher_sums(network, batches)
        assert {total.dtype for total in sums.values()} == {torch.float64}
        assert {total.device.type for total in sums.values()} == {device.type}


@pytest.mark.parametrize("make", [small_resnet, small_vit])
@pytest.mark.parametrize("reproducible", [False, True])
def test_the_loop_for_large_layers_is_as_exact_as_the_operations_for_small_ones(
    device: torch.device, make: Make, reproducible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_compile()
    monkeypatch.setattr(window, "LARGE", 1)
    monkeypatch.setattr(window, "LARGE_ON_GPU", 1)
    network, samples = make(5)
    there, its_samples = moved(network, samples, device, torch.float32)
    found = fisher_sums(there, [its_samples], reproducible=reproducible)
    assert worst_relative_error(on_cpu(found), oracle(network, samples)) <= 5e-6


@pytest.mark.parametrize("make", [small_resnet, small_vit])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_sums_do_not_depend_on_the_batch_size_but_for_rounding(
    device: torch.device, make: Make, dtype: torch.dtype, tolerance: float, batch_size: int
) -> None:
    network, samples = moved(*make(30), device, dtype)
    whole = fisher_sums(network, [samples])
    parts = [samples.part(start, start + 7) for start in range(0, 30, 7)]
    found = fisher_sums(network, parts, batch_size=batch_size)
    assert worst_relative_error(found, whole) <= tolerance


@pytest.mark.parametrize(
    "make",
    [
        small_resnet,
        small_vit,
        shades,
        # Pooling by maxima that overlap.
        Family("resnet18", 32, seed=16).make,
        # A table of position biases, each looked up many times.
        Family("swin_t", 32).make,
    ],
    ids=["small_resnet", "small_vit", "shades", "resnet18", "swin_t"],
)
def test_a_repeated_reproducible_pass_is_identical_to_the_last_bit(
    device: torch.device, make: Make
) -> None:
    network, samples = moved(*make(13), device, torch.float32)
    first = fisher_sums(network, [samples], reproducible=True)
    assert all(total.any() for total in first.values())
    for _ in range(REPETITIONS):
        again = fisher_sums(network, [samples], reproducible=True)
        assert [name for name in first if not torch.equal(first[name], again[name])] == []


@pytest.mark.parametrize("make", [small_resnet, small_vit])
def test_reproducible_sums_agree_to_1e_13_in_any_order_and_batching(
    device: torch.device, make: Make
) -> None:
    network, samples = moved(*make(30), device, torch.float32)
    whole = fisher_sums(network, [samples], reproducible=True)
    sharded = zero_sums(network)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    for start in range(0, 30, 7):
        some = _rows(samples, order[start : start + 7])
        add_sums(sharded, fisher_sums(network, [some], reproducible=True))
    for name, total in whole.items():
        torch.testing.assert_close(sharded[name], total, rtol=1e-13, atol=0)


def test_labels_that_share_batches_get_the_sums_of_their_own_samples(device: torch.device) -> None:
    network, samples = moved(*small_resnet(30), device, torch.float32)
    order = samples.labels.argsort(stable=True)
    ordered = _rows(samples, order.cpu())
    found = dict(sums_by_label(network, [ordered]))
    assert list(found) == list(range(CLASSES))
    for label, sums in found.items():
        own = _rows(samples, (samples.labels == label).nonzero()[:, 0].cpu())
        expected = fisher_sums(network, [own], reproducible=True)
        for name, total in expected.items():
            torch.testing.assert_close(sums[name], total, rtol=1e-13, atol=0)


def _rows(samples: Batch, rows: Tensor) -> Batch:
    """These samples of those on the device; positions are not there."""
    there = rows.to(samples.inputs.device)
    return Batch(samples.inputs[there], samples.labels[there], samples.positions[rows])


def test_the_tiny_gradients_of_a_sample_the_network_is_certain_of_do_not_underflow(
    device: torch.device,
) -> None:
    network = nn.Linear(1, 2, bias=False).eval()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[60.0], [0.0]]))
    sample = Batch.of(torch.ones(1, 1), torch.tensor([0])).to(device)
    sums = fisher_sums(network.to(device), [sample])
    # In float32, 1 - p is 0, and so is the square of what it should be.
    assert sums["weight"].flatten().tolist() == pytest.approx([math.exp(-120)] * 2, rel=1e-6, abs=0)


def test_a_sample_with_nan_is_named_by_its_position(device: torch.device) -> None:
    network, samples = moved(*small_resnet(20), device, torch.float32)
    samples.inputs[13] = torch.nan
    with pytest.raises(NonFiniteGradient, match=r"parameter '.+' .*position 13\.") as caught:
        fisher_sums(network, [samples])
    assert caught.value.position == 13
