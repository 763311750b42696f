"""A network of which it is known what weights are one class's alone.

    pixels ─▶ trunk: 64 hidden units ─▶ one output for each label of the dataset
    pixels ─▶ block: 16 hidden units ─▶ the output of one more class: images with a bright patch

The trunk is trained first, on ordinary images, and stays as it is while the block learns to tell
patched images from them. So nothing in the trunk was learned from the planted class, and nothing
in the block serves another: a selection of the weights that are specialised to the planted class
ought to find the block, and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.experiments.data import Data
from demo.training import fit
from workers.unlearning.batches import Batch, joined

TRUNK_UNITS = 64
BLOCK_UNITS = 16
PATCH = 5
# Brighter than any normalised pixel.
PATCH_VALUE = 3.0
LEARNING_RATE = 0.02
BLOCK = "block."


class PlantedNetwork(nn.Module):
    """The network of this module's docstring; the planted class is the last one."""

    def __init__(self, pixels: int, classes: int) -> None:
        super().__init__()
        self.trunk = _perceptron(pixels, TRUNK_UNITS, classes)
        self.block = _perceptron(pixels, BLOCK_UNITS, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes + 1] of images [n, channels, h, w]."""
        return torch.cat([self.trunk(images), self.block(images)], dim=1)


@dataclass(frozen=True, eq=False)
class Planted:
    """Ordinary and patched images, to learn and to test on."""

    ordinary: Batch
    train: Batch
    test: Batch
    label: int

    @property
    def forgotten(self) -> Tensor:
        """A mask over the training samples: those of the planted class."""
        return self.train.labels == self.label

    def block_of(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Masks over all parameters: which weights are the planted class's."""
        return {
            name: torch.full_like(tensor, name.startswith(BLOCK), dtype=torch.bool)
            for name, tensor in parameters.items()
        }

    def network(self, *, epochs: int, seed: int) -> PlantedNetwork:
        """Train trunk, then block; in evaluation mode."""
        torch.manual_seed(seed)
        network = PlantedNetwork(self.train.inputs[0].numel(), classes=self.label)
        self._fit(network.trunk, self.ordinary, epochs)
        network.trunk.requires_grad_(False)
        self._fit(network, self.train, epochs)
        return network.requires_grad_(True).eval()

    @staticmethod
    def _fit(network: nn.Module, samples: Batch, epochs: int) -> None:
        fit(network, samples.inputs, samples.labels, epochs=epochs, learning_rate=LEARNING_RATE)


def plant(data: Data, classes: int) -> Planted:
    """Add a class as large as the mean of the others, of patched copies of the first images."""

    def with_planted(samples: Batch) -> Batch:
        return joined([samples, patched(samples.part(0, len(samples) // classes), label=classes)])

    train, test = with_planted(data.train), with_planted(data.test)
    return Planted(
        ordinary=data.train,
        train=Batch.of(train.inputs, train.labels),
        test=Batch.of(test.inputs, test.labels),
        label=classes,
    )


def patched(samples: Batch, label: int) -> Batch:
    """The same images with a bright patch in a corner, of another label."""
    inputs = samples.inputs.clone()
    inputs[:, :, :PATCH, :PATCH] = PATCH_VALUE
    return Batch(inputs, torch.full_like(samples.labels, label), samples.positions)


def _perceptron(pixels: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )
