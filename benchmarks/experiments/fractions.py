"""A share of all training samples, to forget at random or label by label."""

from dataclasses import replace

import torch

from benchmarks.experiments.data import Data, shuffled
from benchmarks.experiments.tasks import Kind, Task, random_samples
from benchmarks.experiments.training import Recipe


def at_random(data: Data, recipe: Recipe, share: float, seed: int) -> Task:
    """Samples that `seed` draws; a smaller share is part of a larger one."""
    count = round(share * len(data.train))
    return replace(random_samples(data, recipe, seed, count), name=f"{share:.0%} at random")


def by_class(data: Data, recipe: Recipe, share: float, seed: int) -> Task:
    """Whole labels, in an order that `seed` draws, then a part of one more.

    Forgotten labels are those of which nothing stays; test samples of the last one count as
    retained. A smaller share is part of a larger one.
    """
    order = shuffled(torch.arange(recipe.classes), torch.Generator().manual_seed(seed))
    labels = data.train.labels
    rows = torch.argsort(order.argsort()[labels], stable=True)[: round(share * len(labels))]
    forgotten = torch.zeros(len(labels), dtype=torch.bool)
    forgotten[rows] = True
    return Task(
        kind=Kind.CLASS,
        name=f"{share:.0%} by class",
        recipe=recipe,
        train=data.train,
        fine=labels,
        forgotten=forgotten,
        test=data.test,
        of_forgotten_label=~torch.isin(data.test.labels, labels[~forgotten]),
        holdout=data.unseen,
        unseen=data.unseen.rows(torch.isin(data.unseen.labels, labels[forgotten])),
    )
