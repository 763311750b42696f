"""What a network still knows of a task's samples."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.experiments.attacks import called_members, loss_auc
from benchmarks.experiments.dampened import in_parts
from benchmarks.experiments.tasks import Task
from workers.unlearning.batches import Batch


@dataclass(frozen=True)
class Figures:
    """Shares in [0, 1]; None where the task has no such samples.

    `retained_test`, `forgotten` and `forgotten_test` are accuracies: on test samples of retained
    labels, on the training samples to forget, and on test samples of the label to forget.
    `called_members` is the published attack's, `loss_auc` that of losses.
    """

    retained_test: float | None
    forgotten: float | None
    forgotten_test: float | None
    called_members: float
    loss_auc: float


def measure(network: nn.Module, task: Task) -> Figures:
    """All figures of a network in evaluation mode."""
    forget, unseen = task.forget, task.unseen
    of_forgotten, of_test = logits(network, forget), logits(network, task.test)
    retained, forgotten = ~task.of_forgotten_label, task.of_forgotten_label
    return Figures(
        retained_test=accuracy(of_test[retained], task.test.labels[retained]),
        forgotten=accuracy(of_forgotten, forget.labels),
        forgotten_test=accuracy(of_test[forgotten], task.test.labels[forgotten]),
        called_members=called_members(
            retained=logits(network, task.retain),
            unseen=of_test,
            forgotten=of_forgotten,
        ),
        loss_auc=loss_auc(of_forgotten, logits(network, unseen), forget.labels, unseen.labels),
    )


@torch.no_grad()
def logits(network: nn.Module, samples: Batch) -> Tensor:
    """Float32 [n, classes]."""
    return torch.cat([network(part.inputs) for part in in_parts(samples)])


def accuracy(of_samples: Tensor, labels: Tensor) -> float | None:
    """The share whose greatest logit is the label's; None of no samples."""
    if not len(labels):
        return None
    return float((of_samples.argmax(dim=1) == labels).double().mean())
