"""Features: what a network's last layer is given."""

import torch
from torch import Tensor, nn

from benchmarks.experiments.placement import in_parts
from workers.unlearning.batches import Batch
from workers.unlearning.last_layer import last_layer_of


@torch.no_grad()
def features(network: nn.Module, samples: Batch, num_classes: int) -> Tensor:
    """What the last layer of a network in evaluation mode is given: [n, features].

    Raises:
        ValueError: it cannot be told which layer that is.

    """
    names = last_layer_of(network, num_classes)
    if not names:
        raise ValueError("it cannot be told which layer of this network is the last")
    name, _, _ = names[0].rpartition(".")
    seen: list[Tensor] = []

    def note(_module: nn.Module, given: tuple[Tensor]) -> None:
        seen.append(given[0].flatten(1))

    with network.get_submodule(name).register_forward_pre_hook(note):
        for part in in_parts(network, samples):
            network(part.inputs)
    return torch.cat(seen)
