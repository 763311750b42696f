"""Per-sample Fisher sums: how much each parameter matters to a set of samples.

One sample at a time, by design: a sample's gradient then never depends on which other samples
share its batch, not even in the last bit, so sums over any order and batching of the same samples
agree to the rounding of a float64 addition (docs/decisions/0003). Sums are therefore safe to
subtract: `full − forget` is what the retained samples sum to.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.errors import NonFiniteGradient, NotEvaluable, SumsMismatch

Sums = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]

# Squares are widened to float64 in blocks that stay in the processor's cache.
BLOCK = 1 << 16


@dataclass(frozen=True)
class Provenance:
    """What two sums must have in common before they may be compared or added."""

    weights: str
    manifest: str
    # Kinds of devices round differently, and the difference of two sums must not show it.
    device: str = "cpu"
    loss: str = "cross_entropy"
    estimator: str = "empirical"
    estimator_version: int = 1

    def require_same(self, other: "Provenance") -> None:
        """Raise `SumsMismatch` naming what differs."""
        different = [name for name, mine in vars(self).items() if mine != getattr(other, name)]
        if different:
            raise SumsMismatch(
                f"These Fisher sums differ in {', '.join(different)} and cannot be compared. "
                "Enrol the network again to compute them anew."
            )


def zero_sums(network: nn.Module) -> Sums:
    """Sums over no samples: float64 zeros by parameter name, shaped like the parameters."""
    return {
        name: torch.zeros_like(parameter, dtype=torch.float64, requires_grad=False)
        for name, parameter in network.named_parameters()
    }


def squared_gradient_sums(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    loss: Loss = nn.functional.cross_entropy,
) -> Sums:
    """The sum over samples of the squared gradient of each sample's loss.

    `batches` yields inputs [b, channels, height, width] and labels [b]; b may vary and be 0. The
    result maps every parameter's name to a float64 tensor of its shape; it is a sum, not a mean.
    The network is left as it was. Parameters it does not use get zeros; a parameter that the
    network uses twice gets the square of its whole gradient.

    Raises `NotEvaluable` if a module is in train mode (batch normalisation would couple samples,
    dropout would make them random), `NonFiniteGradient` naming parameter and sample.
    """
    _require_evaluation_mode(network)
    sums = zero_sums(network)
    parameters = dict(network.named_parameters())
    trainable = {name: parameter.requires_grad for name, parameter in parameters.items()}
    seen = 0
    try:
        network.requires_grad_(True)
        for inputs, labels in batches:
            for row in range(len(inputs)):
                value = loss(network(inputs[row : row + 1]), labels[row : row + 1])
                gradients = torch.autograd.grad(
                    value, list(parameters.values()), materialize_grads=True
                )
                _require_finite(parameters, gradients, seen + row)
                for total, gradient in zip(sums.values(), gradients, strict=True):
                    _add_square(total, gradient)
            seen += len(inputs)
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(trainable[name])
    return sums


def add_sums(total: Sums, more: Mapping[str, Tensor]) -> Sums:
    """Add `more` to `total` in place and return it; both hold the same names."""
    for name, tensor in total.items():
        tensor.add_(more[name].to(tensor.device))
    return total


def _add_square(total: Tensor, gradient: Tensor) -> None:
    if total.device.type != "cpu":
        wide = gradient.double()
        total.addcmul_(wide, wide)
        return
    flat_total, flat_gradient = total.view(-1), gradient.reshape(-1)
    for start in range(0, flat_total.numel(), BLOCK):
        wide = flat_gradient[start : start + BLOCK].double()
        flat_total[start : start + BLOCK].addcmul_(wide, wide)


def _require_evaluation_mode(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if module.training:
            raise NotEvaluable(
                f"Module {name or 'network'!r} is in train mode; per-sample gradients exist in "
                "evaluation mode only. Call network.eval() first."
            )


def _require_finite(
    parameters: Mapping[str, Tensor], gradients: tuple[Tensor, ...], sample: int
) -> None:
    # The norm is cheap, and finite if all entries are. It may also overflow of large finite ones,
    # so only a closer look condemns.
    if bool(torch.isfinite(nn.utils.get_total_norm(gradients))):
        return
    for name, gradient in zip(parameters, gradients, strict=True):
        if not bool(torch.isfinite(gradient).all()):
            raise NonFiniteGradient(
                f"The gradient of parameter {name!r} is not finite for sample number {sample} of "
                "this pass. Its image or the weights hold NaN or extreme values.",
                sample,
            )
