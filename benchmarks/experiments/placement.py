"""Samples wait in main memory; what a network is given goes to the device that it is on."""

from collections.abc import Iterator

import torch
from torch import nn

from workers.unlearning.batches import Batch

# Samples that are handed to the gradient pass at once.
PART = 256


def device_of(network: nn.Module) -> torch.device:
    """Where the network's weights are."""
    return next(network.parameters()).device


def in_parts(network: nn.Module, samples: Batch) -> Iterator[Batch]:
    """The samples as the gradient pass takes them, each part where the network is."""
    device = device_of(network)
    return (samples.part(start, start + PART).to(device) for start in range(0, len(samples), PART))
