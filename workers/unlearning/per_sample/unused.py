"""Parameters that no operation was seen to take: not used, or used where nobody can look.

Gradients of what happens in a custom `autograd.Function` or in compiled code pass a recorder by.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from models.errors import NotEvaluable


def require_unused(network: nn.Module, names: Collection[str], sample: Tensor) -> None:
    """Raise `NotEvaluable` naming those of `names` that the output of `sample` [1, …] depends on.

    The network's parameters must not require gradients, and do not afterwards.
    """
    parameters = {name: network.get_parameter(name) for name in sorted(names)}
    if not parameters:
        return
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            outputs = network(sample)
            found = _gradients(outputs.sum(), list(parameters.values()))
    finally:
        for parameter in parameters.values():
            parameter.requires_grad_(False)
    used = [name for name, each in zip(parameters, found, strict=True) if each is not None]
    if used:
        raise NotEvaluable(
            f"No per-sample gradients can be found of {', '.join(used)}: the network uses them "
            "where no operation is seen to take them, as in an autograd.Function of its own or in "
            "compiled code. Write that with PyTorch's functions."
        )


def _gradients(of: Tensor, parameters: list[nn.Parameter]) -> list[Tensor | None]:
    if not of.requires_grad:
        return [None] * len(parameters)
    return list(torch.autograd.grad(of, parameters, allow_unused=True))
