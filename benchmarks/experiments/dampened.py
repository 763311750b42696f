"""Networks with dampened weights, from the numerics of `workers.unlearning`."""

from collections.abc import Mapping
from copy import deepcopy

from torch import Tensor, nn

from workers.unlearning.dampening import dampen


def importances(sums: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Means over `count` samples, in the precision of the weights."""
    return {name: (total / count).float() for name, total in sums.items()}


def dampened_as_published(
    network: nn.Module,
    full: Mapping[str, Tensor],
    forget: Mapping[str, Tensor],
    *,
    selection: float,
) -> nn.Module:
    """A copy, dampened with λ = 1 and with the importance of all samples as the retained ones'.

    All samples include the n of N that are forgotten, so no forget importance that is a mean over
    samples exceeds N/n times theirs: where a tenth is forgotten, α = 10 selects nothing then.
    """
    copy = deepcopy(network)
    weights = {name: parameter.detach() for name, parameter in copy.named_parameters()}
    dampen(weights, retain=full, forget=forget, selection=selection, strength=1.0)
    return copy
