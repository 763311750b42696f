"""Small random data that the tests of the experiments share."""

import torch

from benchmarks.experiments.data import Data
from benchmarks.experiments.training import Recipe
from workers.unlearning.batches import Batch

RECIPE = Recipe(network="small", channels=1, classes=10, epochs=1)
LABELS = 10


def samples(count: int, seed: int) -> Batch:
    """Random 8x8 images; every label occurs."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    return Batch.of(images, torch.arange(count) % LABELS)


def data() -> Data:
    """Enough for a task of every kind."""
    return Data(train=samples(200, 0), test=samples(60, 1), unseen=samples(60, 2))
