"""Whether the batched pass is exact for a network: tried on a few samples, against one at a time.

The rules rely on every sample keeping its own rows in everything that flows through the network. A
network that shuffles or mixes its samples breaks that without a sign; here it shows.
"""

import torch
from torch import Tensor, nn

from models.errors import NotEvaluable
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator
from workers.unlearning.importances import squared_gradient_sums

# Rounding may flip a ReLU or a maximum; what the rules get wrong is off by far more.
TOLERANCE = 0.05


def require_exact(network: nn.Module, samples: Batch, estimator: Estimator) -> None:
    """Raise `NotEvaluable` naming a parameter whose sums are not those of the samples one by one.

    `samples` should be two or more, and in evaluation mode the network is left as it was.
    """
    found = squared_gradient_sums(network, [samples], estimator=estimator)
    for name, expected in _one_by_one(network, samples, estimator).items():
        largest = float(expected.max())
        if float((found[name] - expected).abs().max()) > TOLERANCE * largest:
            raise NotEvaluable(
                f"The per-sample gradients of parameter {name!r} come out wrong in batches: the "
                "network seems to mix its samples. Each sample's rows must stay together in the "
                "first dimension of everything that flows through it."
            )


def _one_by_one(network: nn.Module, samples: Batch, estimator: Estimator) -> dict[str, Tensor]:
    parameters = dict(network.named_parameters())
    totals = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in parameters.items()}
    trainable = {name: p.requires_grad for name, p in parameters.items()}
    network.requires_grad_(True)
    try:
        for row in range(len(samples)):
            sample = samples.part(row, row + 1)
            logits = network(sample.inputs)
            gradients = torch.autograd.grad(
                logits,
                list(parameters.values()),
                estimator.output_gradients(logits, sample).to(logits.dtype),
                materialize_grads=True,
            )
            for total, gradient in zip(totals.values(), gradients, strict=True):
                total.add_(estimator.power.of(gradient.double()))
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(trainable[name])
    return totals
