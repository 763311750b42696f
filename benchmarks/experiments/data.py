"""A dataset as tensors: drawn training images, and drawn test images in two halves.

One half, `test`, is what accuracy is measured on and what the published attack learns from; no
method gets it. The other, `unseen`, is the holdout that this service's search and gate look at,
which no other method gets, and the reference of the loss-based attack.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.experiments.networks import Shape
from benchmarks.experiments.sources import Source
from models.records import Split
from models.specifications import Preprocessing
from workers.datasets import open_dataset
from workers.unlearning.batches import Batch


@dataclass(frozen=True, eq=False)
class Data:
    """Samples with the dataset's own labels; positions are their places in the dataset."""

    train: Batch
    test: Batch
    unseen: Batch


def load(
    source: Source, folder: Path, shape: Shape, *, images: int, test_images: int, seed: int
) -> Data:
    """Draw training images, and test images to halve; all of them normalised.

    Raises:
        DatasetUnreadable: they are not in `folder`.
        ValueError: there are fewer than asked for.

    """
    dataset = open_dataset(
        source.spec(folder.absolute()),
        Preprocessing(
            size=shape.size, channels=shape.channels, mean=[*source.mean], std=[*source.std]
        ),
    )
    index = dataset.index()
    assert index.splits is not None
    in_training = torch.tensor([split is Split.TRAIN for split in index.splits])
    labels = torch.from_numpy(index.labels)
    generator = torch.Generator().manual_seed(seed)
    train = shuffled(in_training.nonzero().flatten(), generator)
    test = shuffled((~in_training).nonzero().flatten(), generator)
    if len(train) < images or len(test) < test_images:
        raise ValueError(f"there are only {len(train)} training and {len(test)} test images")

    def batch(positions: Tensor) -> Batch:
        return Batch(dataset.load(positions.tolist()), labels[positions], positions)

    half = test_images // 2
    return Data(batch(train[:images]), batch(test[:half]), batch(test[half:test_images]))


def shuffled(values: Tensor, generator: torch.Generator) -> Tensor:
    """The same values in a drawn order."""
    return values[torch.randperm(len(values), generator=generator)]


def relabelled(samples: Batch, labels: Tensor) -> Batch:
    """The same samples with other labels."""
    return Batch(samples.inputs, labels, samples.positions)
