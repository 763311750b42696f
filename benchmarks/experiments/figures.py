"""What a network still knows of a task's samples."""

from dataclasses import dataclass, replace

from torch import nn

from benchmarks.experiments.placement import in_parts
from benchmarks.experiments.tasks import Task
from workers.unlearning.probing.membership import entropy_attack, loss_attack
from workers.unlearning.probing.observation import Observed, observe


@dataclass(frozen=True)
class Figures:
    """Shares in [0, 1]; None where the task has no such samples.

    `retained_test`, `forgotten` and `forgotten_test` are accuracies: on test samples of retained
    labels, on the training samples to forget, and on test samples of the label to forget.
    `called_members` is the share of samples to forget that the published attack, which learns from
    retained and from test samples, takes for training samples. `loss_auc` is the chance that a
    sample to forget has a lower loss than an unseen one of its label.
    """

    retained_test: float | None
    forgotten: float | None
    forgotten_test: float | None
    called_members: float | None
    loss_auc: float | None


@dataclass(frozen=True)
class Accuracies:
    """Shares in [0, 1] of test samples of retained labels, and of what is forgotten.

    The latter are test samples of the forgotten label, or where a task has no such label, the
    training samples to forget.
    """

    retained: float
    forgotten: float

    def points_from(self, other: "Accuracies") -> float:
        """The sum of both differences, in points: 0 for what behaves the same."""
        retained, forgotten = self.retained - other.retained, self.forgotten - other.forgotten
        return 100 * (abs(retained) + abs(forgotten))

    def points_short_of(self, other: "Accuracies") -> float:
        """Points from `other`, where it is none to recognise more than it of what is retained."""
        return replace(self, retained=min(self.retained, other.retained)).points_from(other)


def accuracies(network: nn.Module, task: Task) -> Accuracies:
    """The two accuracies of a network in evaluation mode; cheaper than all figures."""
    test, mask = observe(network, in_parts(network, task.test)), task.of_forgotten_label.numpy()
    of_label = test.where(mask) if mask.any() else observe(network, in_parts(network, task.forget))
    retained, forgotten = test.where(~mask).accuracy, of_label.accuracy
    if retained is None or forgotten is None:
        raise ValueError(f"{task.name} has no test samples of a label that is retained")
    return Accuracies(retained, forgotten)


def measure(network: nn.Module, task: Task) -> Figures:
    """All figures of a network in evaluation mode."""
    return _figures(network, task, retained=observe(network, in_parts(network, task.retain)))


def measure_without_retained(network: nn.Module, task: Task) -> Figures:
    """All but the published attack, which alone needs a look at the retained training samples."""
    return _figures(network, task, retained=None)


def _figures(network: nn.Module, task: Task, *, retained: Observed | None) -> Figures:
    forgotten, test, unseen = (
        observe(network, in_parts(network, samples))
        for samples in (task.forget, task.test, task.unseen)
    )
    of_forgotten_label = task.of_forgotten_label.numpy()
    published = entropy_attack(retained, test, forgotten) if retained else None
    by_loss = loss_attack(forgotten, unseen)
    return Figures(
        retained_test=test.where(~of_forgotten_label).accuracy,
        forgotten=forgotten.accuracy,
        forgotten_test=test.where(of_forgotten_label).accuracy,
        called_members=published.value if published else None,
        loss_auc=by_loss.area.value if by_loss else None,
    )
