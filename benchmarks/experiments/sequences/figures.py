"""What a version still knows, after a request."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.experiments.placement import in_parts
from benchmarks.experiments.sequences.course import Course
from workers.unlearning.batches import Batch
from workers.unlearning.probing.membership import loss_attack
from workers.unlearning.probing.observation import observe

# Enough unseen samples for the attack; every look at one costs as much as one at a test sample.
MOST_UNSEEN = 1000


@dataclass(frozen=True)
class Figures:
    """Shares in [0, 1]; None where there are no such samples.

    `retained_test` is the accuracy on test samples of labels that are not forgotten whole so far,
    `lasting_test` on those of labels that no request ever completes: the other labels, where one
    goes bit by bit. `forgotten` is the accuracy on everything forgotten so far, and `loss_auc` the
    chance that a forgotten sample has a lower loss than an unseen one of its label.
    """

    retained_test: float | None
    lasting_test: float | None
    forgotten: float | None
    loss_auc: float | None


def measure(network: nn.Module, course: Course, after: int) -> Figures:
    """All figures of a network in evaluation mode."""
    samples = course.train.rows(course.forgotten(after))
    test, forgotten, unseen = (
        observe(network, in_parts(network, each))
        for each in (course.data.test, samples, _unseen(course, samples.labels))
    )
    attack = loss_attack(forgotten, unseen)
    return Figures(
        retained_test=test.without(_gone(course, after)).accuracy,
        lasting_test=test.without(_gone(course, course.last)).accuracy,
        forgotten=forgotten.accuracy,
        loss_auc=attack.area.value if attack else None,
    )


def _unseen(course: Course, labels: Tensor) -> Batch:
    unseen = course.data.unseen
    return unseen.rows(torch.isin(unseen.labels, labels)).part(0, MOST_UNSEEN)


def _gone(course: Course, after: int) -> set[int]:
    labels, forgotten = course.train.labels, course.forgotten(after)
    return set(labels[forgotten].tolist()) - set(labels[~forgotten].tolist())
