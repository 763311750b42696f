"""How much a network's predictions resemble those of one that has never learnt anything."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from workers.unlearning.batches import Batch
from workers.unlearning.probing.intervals import Estimate, mean


def zero_retrain_forgetting(
    network: nn.Module, reference: nn.Module, batches: Iterable[Batch]
) -> Estimate | None:
    """ZRF (arXiv 2201.06640): 1 minus the mean Jensen-Shannon divergence from `reference`.

    `reference` is a network of the same architecture with random weights. The divergence is that of
    each sample's two predictions, in units of ln 2, so 1 means that they are the same; it is *not*
    divided by the number of classes, as it is where the mean is taken over elements. None of no
    samples; not a number where predictions are none.
    """
    divergences = [torch.empty(0, dtype=torch.float64)]
    with torch.no_grad():
        for batch in batches:
            ours, theirs = (
                # A network may change what it is given, and the other one sees it next.
                nn.functional.softmax(each(batch.inputs.clone()).double(), dim=1)
                for each in (network, reference)
            )
            middle = (ours + theirs) / 2
            divergence = (_relative_entropy(ours, middle) + _relative_entropy(theirs, middle)) / 2
            divergences.append(divergence.cpu())
    return mean(1 - torch.cat(divergences).numpy() / math.log(2))


def _relative_entropy(of: Tensor, to: Tensor) -> Tensor:
    parts: Tensor = torch.special.xlogy(of, of) - torch.special.xlogy(of, to)
    return parts.sum(dim=1)
