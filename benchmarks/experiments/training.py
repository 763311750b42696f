"""Networks from scratch, seeded; those that several methods start from are kept on disk."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.experiments.networks import NETWORKS, weight_count
from benchmarks.experiments.optimisation import fast_arithmetic
from benchmarks.tools.timing import clock_of, finish
from demo.training import fit
from workers.tensors import read_tensors, save_tensors
from workers.unlearning.batches import Batch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Recipe:
    """Which network, and how it is trained."""

    network: str
    channels: int
    classes: int
    epochs: int

    def build(self, seed: int) -> nn.Module:
        """A network with random weights that `seed` decides, in evaluation mode."""
        torch.manual_seed(seed)
        return NETWORKS[self.network].build(self.classes, self.channels)

    def train(self, samples: Batch, seed: int, device: torch.device = CPU) -> nn.Module:
        """A network trained from scratch, in evaluation mode, on the device."""
        network, samples = self.build(seed).to(device), samples.to(device)
        with fast_arithmetic():
            fit(
                network,
                samples.inputs,
                samples.labels,
                epochs=self.epochs,
                learning_rate=NETWORKS[self.network].learning_rate,
            )
        return network.eval()


def another(seed: int) -> int:
    """The seed of a network that must not begin with the very weights another began with."""
    return seed + 1_000_000


@dataclass(frozen=True)
class Trained:
    """A network, and the seconds that its training took: the processor's, on a GPU the clock's."""

    network: nn.Module
    seconds: float


@dataclass(frozen=True)
class Networks:
    """A folder of networks trained on a device, each named by all else that it depends on."""

    folder: Path
    device: torch.device = CPU

    def trained(self, recipe: Recipe, samples: Batch, seed: int) -> nn.Module:
        """The kept network of this recipe, samples and seed; trained now if there is none."""
        return self.timed(recipe, samples, seed).network

    def timed(self, recipe: Recipe, samples: Batch, seed: int) -> Trained:
        """A trained network with the seconds of its training."""
        network = recipe.build(seed)
        path = self.folder / f"{_key(recipe, network, samples, seed)}.safetensors"
        if path.exists():
            weights, metadata = read_tensors(path)
            network.load_state_dict(weights)
            return Trained(network.to(self.device), metadata["seconds"])
        finish()
        clock = clock_of(self.device)
        started = clock()
        network = recipe.train(samples, seed, self.device)
        finish()
        seconds = clock() - started
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        save_tensors(temporary, network.state_dict(), {"seconds": seconds})
        temporary.replace(path)
        return Trained(network, seconds)


def digest(settings: dict[str, Any]) -> str:
    """A short name for settings, of hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def content_digest(samples: Batch) -> str:
    """SHA-256 of inputs and labels, in hexadecimal."""
    content = hashlib.sha256()
    for tensor in (samples.inputs, samples.labels):
        content.update(tensor.contiguous().numpy().data)
    return content.hexdigest()


def _key(recipe: Recipe, network: nn.Module, samples: Batch, seed: int) -> str:
    return digest(
        {
            **asdict(recipe),
            "learning_rate": NETWORKS[recipe.network].learning_rate,
            "weights": weight_count(network),
            "samples": content_digest(samples),
            "seed": seed,
        }
    )
