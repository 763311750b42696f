"""Importances as the authors of SSD compute them: from gradients of batches.

Squaring the gradient of a batch's mean loss does not give the Fisher diagonal: what the samples of
a batch disagree about cancels before it is squared, so the result depends on how the samples are
cut into batches and on their order.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from benchmarks.experiments.placement import device_of
from workers.unlearning.batches import Batch


def squared_batch_gradients(
    network: nn.Module, samples: Batch, batch_size: int
) -> dict[str, Tensor]:
    """The mean over batches of the squared gradient of each batch's mean cross-entropy.

    In the order of the samples, in evaluation mode; a shorter last batch counts as much as any
    other. By parameter name.
    """
    network = deepcopy(network).requires_grad_(True)
    samples = samples.to(device_of(network))
    parameters = dict(network.named_parameters())
    totals = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
    starts = range(0, len(samples), batch_size)
    for start in starts:
        batch = samples.part(start, start + batch_size)
        loss = nn.functional.cross_entropy(network(batch.inputs), batch.labels)
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        for total, gradient in zip(totals.values(), gradients, strict=True):
            total.addcmul_(gradient, gradient)
    return {name: total / len(starts) for name, total in totals.items()}
