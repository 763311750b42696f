"""Trying a network out before the long pass of its enrolment, on a few of its samples.

What does not fit is found before hours of gradients: the shape of an image or of the output,
samples that influence one another, and preprocessing or labels under which the network only
guesses. Of a network that guesses every later verdict would be that nothing shows.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from models.errors import DatasetUnreadable, NetworkMismatch, SampleUnreadable
from models.records import Split
from models.specifications import Enrolment
from workers.datasets import Dataset
from workers.datasets.source import Position
from workers.enrolment.records import SampleRows
from workers.subjects import one_batch
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import estimator_of
from workers.unlearning.exactness import pass_sizes, require_exact
from workers.unlearning.importances import BATCH
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.observation import observe

# Samples of a split that are looked at, as many of each label; and how few tell nothing.
LOOKED_AT, FEWEST = 500, 30


def try_out(
    network: nn.Module,
    enrolment: Enrolment,
    dataset: Dataset,
    training: list[Position],
    device: torch.device,
) -> None:
    """Raise what is wrong with the first few samples, or with the network's gradients of them."""
    classes = enrolment.architecture.num_classes
    sizes = pass_sizes(device)
    few = _read(dataset, training[: max(sizes)], device)
    try:
        with torch.no_grad():
            # A network may change what it is given, and these samples are needed again.
            outputs = network(few.inputs[:1].clone())
    except RuntimeError as error:
        raise NetworkMismatch(
            f"The network does not take images of {enrolment.preprocessing.channels} channels and "
            f"size {enrolment.preprocessing.size}: {error}. Check the preprocessing."
        ) from error
    if tuple(outputs.shape) != (1, classes):
        raise NetworkMismatch(
            f"For one image the network gives an output of shape {list(outputs.shape)}; "
            f"[1, {classes}] is needed. Check num_classes."
        )
    require_exact(network, few, estimator_of(enrolment.estimator), sizes)


def recognised(
    network: nn.Module, dataset: Dataset, rows: SampleRows, device: torch.device
) -> dict[Split, Estimate]:
    """The share of a few hundred samples of each split that the network classifies right.

    All labels count alike, whatever their numbers. A split without samples is left out.
    """
    found = {}
    for split in Split:
        drawn = balanced(rows, split, LOOKED_AT)
        batches = (_read(dataset, part, device) for part in _parts(drawn))
        estimate = observe(network, batches).accuracy_estimate
        if estimate is not None:
            found[split] = estimate
    return found


def require_better_than_guessing(training: Estimate, *, labels: int) -> None:
    """Raise `NetworkMismatch` unless that is significantly more than one in so many labels."""
    if labels < 2 or training.count < FEWEST or training.low > 1 / labels:
        return
    right = round(training.value * training.count)
    raise NetworkMismatch(
        f"The network classifies {right} of {training.count} training images right, and guessing "
        f"would do so with {training.count / labels:.0f}. Check that weights and dataset belong "
        "together: the size, channels, mean and std of the preprocessing, and the numbers of the "
        "labels."
    )


def balanced(rows: SampleRows, split: Split, size: int) -> list[Position]:
    """About `size` samples of a split by their probe ranks, as many of each label if there are.

    Of more than `size` labels some have none.
    """
    positions = np.flatnonzero(np.array(rows.splits, dtype=object) == split)
    labels = np.array(rows.labels)[positions]
    ranks = np.array(rows.probe_ranks)[positions]
    order = np.lexsort((ranks, labels))
    _, sizes = np.unique(labels, return_counts=True)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.arange(len(order)) - starts
    quota = max(1, size // max(1, len(sizes)))
    chosen = order[place < quota]
    # By rank, so that of too many labels it is chance which of them are left out.
    chosen = np.sort(chosen[np.argsort(ranks[chosen])][:size])
    return list(zip(positions[chosen].tolist(), labels[chosen].tolist(), strict=True))


def _parts(samples: list[Position]) -> Iterator[list[Position]]:
    for start in range(0, len(samples), BATCH):
        yield samples[start : start + BATCH]


def _read(dataset: Dataset, samples: list[Position], device: torch.device) -> Batch:
    try:
        return one_batch(dataset, samples, device)
    except SampleUnreadable as error:
        raise DatasetUnreadable(str(error)) from error
