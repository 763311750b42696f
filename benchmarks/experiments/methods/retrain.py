"""Training from scratch without the forgotten samples: what every method is compared with."""

from torch import nn

from benchmarks.experiments.placement import device_of
from benchmarks.experiments.tasks import Task
from benchmarks.experiments.training import another


def retrain(network: nn.Module, task: Task, seed: int) -> nn.Module:
    """A new network by the same recipe."""
    return task.recipe.train(task.retain, another(seed), device_of(network))
