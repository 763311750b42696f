"""The head: the last layer, which makes logits of features.

Dampening for a class takes most of its effect there, because hardly any other sample needs what the
head keeps for it. A candidate that has the base's head back shows what is still known below.
"""

from collections.abc import Iterable

from torch import nn

from workers.unlearning.dampening import Weights


def head_of(network: nn.Module, num_classes: int) -> list[str]:
    """The names of the head's parameters; none if it cannot be told.

    The head is the last module, in the order of definition, that has a weight with a row for every
    class.
    """
    heads = [
        [f"{prefix}.{name}" if prefix else name for name, _ in module.named_parameters()]
        for prefix, module in network.named_modules()
        if isinstance(weight := getattr(module, "weight", None), nn.Parameter)
        and weight.dim() > 1
        and len(weight) == num_classes
    ]
    return heads[-1] if heads else []


def with_head(weights: Weights, head: Weights, names: Iterable[str]) -> Weights:
    """The weights, those of the head taken from `head`; nothing is copied."""
    return {**weights, **{name: head[name] for name in names}}
