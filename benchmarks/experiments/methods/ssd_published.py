"""Selective Synaptic Dampening as its authors published it (arXiv 2308.07707).

λ = 1 and α = 10, but for a vision transformer 5 where a class is forgotten and 25 where one of its
parts is, as the published programs scale it. Importances are those of batches, and those of all
samples stand for the retained ones'. Batches are as in the published program: it does not shuffle,
and its samples lie label by label, the forgotten ones last, unless they were drawn at random. It
forgets one label at most; several lie label by label here, too.
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
    size, samples = BATCH[task.kind], in_published_order(task)
    forgotten = samples.part(len(task.retain), len(samples))
    full = squared_batch_gradients(network, samples, size)
    forget = squared_batch_gradients(network, forgotten, size)
    of_vit = task.recipe.network == "vit"
    selection = SELECTION_OF_VIT[task.kind] if of_vit else SELECTION
    return dampened_as_published(network, full, forget, selection=selection)


def in_published_order(task: Task) -> Batch:
    """All training samples, the forgotten ones last."""
    return forgotten_last(task.kind, task.train, task.fine, forgotten=task.forgotten)


def forgotten_last(kind: Kind, samples: Batch, labels: Tensor, *, forgotten: Tensor) -> Batch:
    """The others before them; both label by label, unless random samples are forgotten."""

    def in_order(mask: Tensor) -> Batch:
        part = samples.rows(mask)
        if kind is Kind.RANDOM:
            return part
        return part.rows(torch.argsort(labels[mask], stable=True))

    return joined([in_order(~forgotten), in_order(forgotten)])
