"""Further training on the retained samples alone, in the hope that the others fade."""

import torch
from torch import nn

from benchmarks.experiments.optimisation import minimise_cross_entropy, trainable_copy
from benchmarks.experiments.tasks import Task

EPOCHS = 5
BATCH = 64
LEARNING_RATE = 0.02
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4


def finetune(network: nn.Module, task: Task, seed: int) -> nn.Module:
    """Stochastic gradient descent at a constant rate."""
    torch.manual_seed(seed)
    tuned = trainable_copy(network)
    optimiser = torch.optim.SGD(
        tuned.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    minimise_cross_entropy(tuned, task.retain, optimiser, epochs=EPOCHS, batch_size=BATCH)
    return tuned.eval()
