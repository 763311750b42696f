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

    It is the last module, in the order of definition, that has a weight with a row for every class.
    """
    layers = [
        [f"{prefix}.{name}" if prefix else name for name, _ in module.named_parameters()]
        for prefix, module in network.named_modules()
        if isinstance(weight := getattr(module, "weight", None), nn.Parameter)
        and weight.dim() > 1
        and len(weight) == num_classes
    ]
    return layers[-1] if layers else []


def with_last_layer(weights: Weights, other: Weights, names: Iterable[str]) -> Weights:
    """The weights, but the last layer's, which are those of `other`; nothing is copied."""
    return {**weights, **{name: other[name] for name in names}}
