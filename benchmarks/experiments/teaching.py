"""Teaching a network a class again: a new last layer on its features, from few images of the class.

The layer is a ridge regression on the features that the old one sees, from all retained training
samples and the few, each class with the same weight in all. What is below stays as it is, so that
how soon the class is known again says how much of it is left there.
"""

import torch
from torch import Tensor, nn

from benchmarks.experiments.features import features
from benchmarks.experiments.figures import Accuracies
from benchmarks.experiments.tasks import Task

# On features of unit variance, whose total weight is the number of samples.
RIDGE = 10.0


class Teacher:
    """Teaches one network, in evaluation mode, the class that a task forgets.

    Raises:
        ValueError: it cannot be told which layer of it is the last.

    """

    def __init__(self, network: nn.Module, task: Task) -> None:
        train, self._test = (
            features(network, samples, task.recipe.classes).double()
            for samples in (task.train, task.test)
        )
        self._retained, self._forgotten = train[~task.forgotten], train[task.forgotten]
        self._labels = task.train.labels[~task.forgotten]
        self._label = int(task.train.labels[task.forgotten][0])
        self._task = task

    def accuracies(self, count: int, draw: int) -> Accuracies:
        """What is recognised of test samples after `count` images of the class, which `draw` picks.

        Raises:
            ValueError: there are fewer.

        """
        if count > len(self._forgotten):
            raise ValueError(f"there are {len(self._forgotten)} images of it, not {count}")
        generator = torch.Generator().manual_seed(draw)
        picked = torch.randperm(len(self._forgotten), generator=generator)[:count]
        labels = torch.cat([self._labels, torch.full((count,), self._label)])
        inputs = torch.cat([self._retained, self._forgotten[picked]])
        right = _predicted(inputs, labels, self._test) == self._task.test.labels
        of_class = self._task.of_forgotten_label
        retained, forgotten = (float(right[mask].double().mean()) for mask in (~of_class, of_class))
        return Accuracies(retained, forgotten)


def _predicted(inputs: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """The labels that a regression on `inputs` [n, f] gives to `test` [t, f]."""
    mean, deviation = inputs.mean(dim=0), inputs.std(dim=0).clamp(min=1e-6)
    present, targets, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    share = (len(labels) / len(present) / counts.double())[targets]

    def with_bias(rows: Tensor) -> Tensor:
        return torch.cat([(rows - mean) / deviation, rows.new_ones(len(rows), 1)], dim=1)

    rows = with_bias(inputs)
    gram = (rows * share[:, None]).T @ rows
    gram.diagonal().add_(RIDGE)
    wanted = (rows * share[:, None]).T @ nn.functional.one_hot(targets).double()
    said: Tensor = present[(with_bias(test) @ torch.linalg.solve(gram, wanted)).argmax(dim=1)]
    return said
