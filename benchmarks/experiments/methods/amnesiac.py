"""Amnesiac unlearning by relabelling (Graves et al., arXiv 2010.10981).

The forgotten samples get labels drawn from all but their own, and the network learns them together
with the retained samples. The epochs are as published, or for comparison four times as many: few
images are few steps.
"""

import torch
from torch import nn

from benchmarks.experiments.data import relabelled
from benchmarks.experiments.optimisation import minimise_cross_entropy, trainable_copy
from benchmarks.experiments.tasks import Task
from workers.unlearning.batches import Batch, joined

EPOCHS = 3
LONGER = 12
BATCH = 128
LEARNING_RATE = 1e-4


def amnesiac(network: nn.Module, task: Task, seed: int) -> nn.Module:
    """With the published epochs."""
    return _confused(network, task, seed, epochs=EPOCHS)


def amnesiac_longer(network: nn.Module, task: Task, seed: int) -> nn.Module:
    """With more of them."""
    return _confused(network, task, seed, epochs=LONGER)


def _confused(network: nn.Module, task: Task, seed: int, *, epochs: int) -> nn.Module:
    """Adam on all training samples, the forgotten ones with wrong labels."""
    torch.manual_seed(seed)
    samples = joined([with_wrong_labels(task.forget, task.recipe.classes), task.retain])
    confused = trainable_copy(network)
    optimiser = torch.optim.Adam(confused.parameters(), lr=LEARNING_RATE)
    minimise_cross_entropy(confused, samples, optimiser, epochs=epochs, batch_size=BATCH)
    return confused.eval()


def with_wrong_labels(samples: Batch, classes: int) -> Batch:
    """The same samples, with every other label equally likely."""
    steps = torch.randint(1, classes, samples.labels.shape)
    return relabelled(samples, (samples.labels + steps) % classes)
