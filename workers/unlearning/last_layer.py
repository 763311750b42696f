"""The last layer, which makes logits of features.

Dampening for a class takes most of its effect there, because hardly any other sample needs what
this layer keeps for it. A candidate that has the base's last layer back shows what it still knows
below.
"""

from collections.abc import Iterable

from torch import nn

from workers.unlearning.dampening import Weights


def last_layer_of(network: nn.Module, num_classes: int) -> list[str]:
    """The names of the last layer's parameters; none if it cannot be told which it is.

    It is the module whose parameters are defined last, if it has a weight with a row for every
    class, and if it is not all there is.
    """
    everything = [name for name, _ in network.named_parameters()]
    prefix = everything[-1].rpartition(".")[0] if everything else ""
    layer = network.get_submodule(prefix)
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.dim() < 2 or len(weight) != num_classes:
        return []
    names = [f"{prefix}.{name}" if prefix else name for name, _ in layer.named_parameters()]
    return names if len(names) < len(everything) else []


def with_last_layer(weights: Weights, other: Weights, names: Iterable[str]) -> Weights:
    """The weights, but the last layer's, which are those of `other`; nothing is copied."""
    return {**weights, **{name: other[name] for name in names}}
