"""Parameters that no operation was seen to take: not used, or used where nobody can look.

Gradients of what happens in a custom `autograd.Function`, in compiled code or in a reentrant
checkpoint pass a recorder by.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from models.errors import NotEvaluable


def require_unused(network: nn.Module, names: Collection[str], inputs: Tensor) -> None:
    """Raise `NotEvaluable` naming those of `names` that the output of `inputs` [b, …] depends on.

    The network's parameters must not require gradients, and do not afterwards.
    """
    parameters = {name: network.get_parameter(name) for name in sorted(names)}
    if not parameters:
        return
    used = _reached(network, parameters, inputs)
    if used:
        raise NotEvaluable(
            f"No per-sample gradients can be found of {', '.join(used)}: the network uses them "
            "where no operation is seen to take them, as in an autograd.Function of its own, in "
            "compiled code or in a reentrant checkpoint. Write that with PyTorch's functions."
        )


def _reached(
    network: nn.Module, parameters: Mapping[str, nn.Parameter], inputs: Tensor
) -> list[str]:
    """Those that gradients arrive at, by a backward pass as in training.

    To `torch.autograd.grad` what a reentrant checkpoint uses is not there.
    """
    kept = {name: parameter.grad for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            output = network(inputs.clone()).sum()
            if output.requires_grad:
                torch.autograd.backward(output)
        return [name for name, parameter in parameters.items() if parameter.grad is not None]
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(False)
            parameter.grad = kept[name]
