"""What is to be forgotten: the three tasks of arXiv 2308.07707.

class       all samples of one label
sub-class   all samples of one label, by a network that was taught only its superclass
random      a hundred samples, drawn without regard to labels
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from benchmarks.experiments.data import Data, relabelled
from benchmarks.experiments.sources import Source
from benchmarks.experiments.training import Recipe
from workers.unlearning.batches import Batch

RANDOM_SAMPLES = 100


class Kind(StrEnum):
    """Which of the three."""

    CLASS = "class"
    SUBCLASS = "sub-class"
    RANDOM = "random"


@dataclass(frozen=True, eq=False)
class Task:
    """Samples with the labels that are taught, and which of them to forget.

    `train` are all training samples and `fine` their labels in the dataset; `forgotten` is a mask
    over them. `of_forgotten_label` is one over the test samples, empty where no label is forgotten.
    `holdout` are samples that no network has seen and no accuracy is measured on, `unseen` those
    of them that have the labels of the forgotten ones.
    """

    kind: Kind
    name: str
    recipe: Recipe
    train: Batch
    fine: Tensor
    forgotten: Tensor
    test: Batch
    of_forgotten_label: Tensor
    holdout: Batch
    unseen: Batch

    @property
    def forget(self) -> Batch:
        """The training samples to forget."""
        return self.train.rows(self.forgotten)

    @property
    def retain(self) -> Batch:
        """The other training samples."""
        return self.train.rows(~self.forgotten)


def whole_class(data: Data, recipe: Recipe, label: int) -> Task:
    """Forget a label."""
    return _of_label(Kind.CLASS, data, recipe, label, taught=torch.arange(recipe.classes))


def sub_class(data: Data, source: Source, recipe: Recipe, label: int) -> Task:
    """Forget a label within its superclass; `recipe` is that of a network for all labels."""
    taught = torch.tensor(source.superclasses)
    recipe = replace(recipe, classes=int(taught.max()) + 1)
    return _of_label(Kind.SUBCLASS, data, recipe, label, taught=taught)


def random_samples(data: Data, recipe: Recipe, seed: int, count: int = RANDOM_SAMPLES) -> Task:
    """Forget samples that `seed` draws; a smaller count draws some of those of a larger one."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(data.train), generator=generator)[:count]
    forgotten = torch.zeros(len(data.train), dtype=torch.bool)
    forgotten[drawn] = True
    return Task(
        kind=Kind.RANDOM,
        name=f"{count} random samples",
        recipe=recipe,
        train=data.train,
        fine=data.train.labels,
        forgotten=forgotten,
        test=data.test,
        of_forgotten_label=torch.zeros(len(data.test), dtype=torch.bool),
        holdout=data.unseen,
        unseen=data.unseen,
    )


def _of_label(kind: Kind, data: Data, recipe: Recipe, label: int, *, taught: Tensor) -> Task:
    def as_taught(samples: Batch) -> Batch:
        return relabelled(samples, taught[samples.labels])

    return Task(
        kind=kind,
        name=f"{kind} {label}",
        recipe=recipe,
        train=as_taught(data.train),
        fine=data.train.labels,
        forgotten=data.train.labels == label,
        test=as_taught(data.test),
        of_forgotten_label=data.test.labels == label,
        holdout=as_taught(data.unseen),
        unseen=as_taught(data.unseen.rows(data.unseen.labels == label)),
    )
