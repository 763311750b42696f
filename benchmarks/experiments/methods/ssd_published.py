"""Selective Synaptic Dampening as its authors published it (arXiv 2308.07707).

λ = 1 and α = 10, but for a vision transformer 5 where a class is forgotten and 25 where one of its
parts is, as the published programs scale it. Importances are those of batches, and those of all
samples stand for the retained ones'. Batches are as in the published program: it does not shuffle,
and its samples lie label by label, the forgotten ones last, unless they were drawn at random.
"""

import torch
from torch import Tensor, nn

from benchmarks.experiments.batch_gradients import squared_batch_gradients
from benchmarks.experiments.dampened import dampened_as_published
from benchmarks.experiments.tasks import Kind, Task
from workers.unlearning.batches import Batch, joined

SELECTION = 10.0
SELECTION_OF_VIT = {Kind.CLASS: 5.0, Kind.SUBCLASS: 25.0, Kind.RANDOM: 10.0}
BATCH = {Kind.CLASS: 64, Kind.SUBCLASS: 64, Kind.RANDOM: 128}


def ssd_published(network: nn.Module, task: Task, _seed: int) -> nn.Module:
    """Dampen; nothing is drawn."""
    size = BATCH[task.kind]
    full = squared_batch_gradients(network, in_published_order(task), size)
    forget = squared_batch_gradients(network, task.forget, size)
    of_vit = task.recipe.network == "vit"
    selection = SELECTION_OF_VIT[task.kind] if of_vit else SELECTION
    return dampened_as_published(network, full, forget, selection=selection)


def in_published_order(task: Task) -> Batch:
    """All training samples, the forgotten ones last."""
    return forgotten_last(task.kind, task.train, task.fine, forgotten=task.forgotten)


def forgotten_last(kind: Kind, samples: Batch, labels: Tensor, *, forgotten: Tensor) -> Batch:
    """The others before them label by label, unless random samples are forgotten."""
    retain = samples.rows(~forgotten)
    if kind is not Kind.RANDOM:
        retain = retain.rows(torch.argsort(labels[~forgotten], stable=True))
    return joined([retain, samples.rows(forgotten)])
