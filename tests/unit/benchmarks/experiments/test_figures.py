"""What a network still knows."""

from dataclasses import replace

import torch
from torch import nn

from benchmarks.experiments.figures import Accuracies, accuracies, measure
from benchmarks.experiments.tasks import random_samples, whole_class
from tests.unit.benchmarks.experiments.samples import LABELS, RECIPE, data
from workers.unlearning.batches import Batch


def test_figures_are_shares_and_random_samples_have_no_label_to_test() -> None:
    network = RECIPE.build(seed=0)
    of_class = measure(network, whole_class(data(), RECIPE, 3))
    of_random = measure(network, random_samples(data(), RECIPE, 0))
    assert of_class.forgotten_test is not None
    assert of_random.forgotten_test is None
    for figures in (of_class, of_random):
        assert all(0 <= share <= 1 for share in vars(figures).values() if share is not None)


def test_every_sample_counts_for_its_own_label_in_whatever_order_they_lie() -> None:
    shown = torch.eye(64)[torch.arange(60) % LABELS].reshape(-1, 1, 8, 8)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    # Positions say where a sample lay before these were drawn.
    test = Batch(shown, torch.arange(60) % LABELS, torch.arange(60)).rows(order)
    task = whole_class(replace(data(), test=test), RECIPE, 3)
    knows_all_but_one = nn.Sequential(nn.Flatten(), nn.Linear(64, LABELS, bias=False))
    weights = torch.eye(64)[:LABELS]
    weights[3] = -1.0
    knows_all_but_one.load_state_dict({"1.weight": weights})
    assert accuracies(knows_all_but_one, task) == Accuracies(retained=1.0, forgotten=0.0)
    found = measure(knows_all_but_one, task)
    assert (found.retained_test, found.forgotten_test) == (1.0, 0.0)
