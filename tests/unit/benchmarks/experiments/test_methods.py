"""Every published method, on little data: that it does what its name says is for the benchmark."""

import copy

import pytest
import torch
from torch import nn

from benchmarks.experiments.fractions import by_class
from benchmarks.experiments.methods import METHODS
from benchmarks.experiments.methods.amnesiac import with_wrong_labels
from benchmarks.experiments.methods.ssd_published import in_published_order
from benchmarks.experiments.methods.unsir import unsir
from benchmarks.experiments.notes import Noted
from benchmarks.experiments.refusals import NotApplicable
from benchmarks.experiments.tasks import random_samples, whole_class
from tests.unit.benchmarks.experiments.samples import LABELS, RECIPE, data, samples

TASK = whole_class(data(), RECIPE, 3)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return RECIPE.train(TASK.train, seed=0)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_returns_another_network_in_evaluation_mode_and_leaves_its_own_alone(
    network: nn.Module, name: str
) -> None:
    before = copy.deepcopy(network.state_dict())
    made = METHODS[name](network, TASK, 0)
    other = made.network if isinstance(made, Noted) else made
    assert other is not network
    assert not any(module.training for module in other.modules())
    assert not any(module.training for module in network.modules())
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[key]), key
    own = {tensor.data_ptr() for tensor in network.parameters()}
    assert not own & {tensor.data_ptr() for tensor in other.parameters()}


@pytest.mark.parametrize(
    "name", ["amnesiac", "amnesiac_longer", "bad_teacher", "bad_teacher_longer", "retrain"]
)
def test_a_method_that_draws_does_the_same_again_from_the_same_seed(
    network: nn.Module, name: str
) -> None:
    first, again = (METHODS[name](network, TASK, 0) for _ in range(2))
    assert isinstance(first, nn.Module)
    assert isinstance(again, nn.Module)
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key


@pytest.mark.parametrize("name", ["amnesiac", "bad_teacher"])
def test_more_epochs_are_more_steps(network: nn.Module, name: str) -> None:
    shorter, longer = (METHODS[each](network, TASK, 0) for each in (name, f"{name}_longer"))
    assert isinstance(shorter, nn.Module)
    assert isinstance(longer, nn.Module)
    moved = [
        sum(
            float((new - old).detach().abs().sum())
            for new, old in zip(made.parameters(), network.parameters(), strict=True)
        )
        for made in (shorter, longer)
    ]
    assert moved[1] > moved[0] > 0


def test_the_percentile_rule_comes_to_other_weights_with_other_sums(network: nn.Module) -> None:
    empirical, label_free = (
        METHODS[f"adaptive_{each}"](network, TASK, 0) for each in ("empirical", "label_free")
    )
    assert isinstance(empirical, nn.Module)
    assert isinstance(label_free, nn.Module)
    assert any(
        not torch.equal(one, other)
        for one, other in zip(empirical.parameters(), label_free.parameters(), strict=True)
    )


def test_wrong_labels_are_any_but_the_right_one() -> None:
    torch.manual_seed(0)
    right = samples(1000, seed=0)
    wrong = with_wrong_labels(right, LABELS)
    assert not (wrong.labels == right.labels).any()
    of_first = wrong.labels[right.labels == 0]
    assert set(of_first.tolist()) == set(range(1, LABELS))


def test_noise_is_not_made_against_random_samples(network: nn.Module) -> None:
    with pytest.raises(NotApplicable):
        unsir(network, random_samples(data(), RECIPE, 0), 0)


def test_the_published_order_is_label_by_label_with_the_forgotten_last() -> None:
    labels = in_published_order(TASK).labels.tolist()
    retained = labels[: -len(TASK.forget)]
    assert retained == sorted(retained)
    assert set(labels[-len(TASK.forget) :]) == {3}


def test_several_forgotten_labels_lie_label_by_label_too() -> None:
    task = by_class(data(), RECIPE, 0.25, 0)
    labels = in_published_order(task).labels.tolist()
    retained, forgotten = labels[: len(task.retain)], labels[len(task.retain) :]
    assert retained == sorted(task.retain.labels.tolist())
    assert forgotten == sorted(task.forget.labels.tolist())


def test_random_samples_keep_their_order_and_come_last() -> None:
    task = random_samples(data(), RECIPE, 0)
    labels = in_published_order(task).labels.tolist()
    assert labels == [*task.retain.labels.tolist(), *task.forget.labels.tolist()]
