"""Dampening: from importances to factors, and from factors to new weights.

With forget importance I_f = F_f / n and retain importance I_r = (F − F_f) / (N − n):

    β = min(λ · I_r / I_f, 1)   where I_f > α · I_r
    β = 1                        elsewhere

A weight that only the forgotten samples use (I_r = 0 < I_f) gets β = 0. One that nobody uses
(0 and 0) is left alone; 0/0 is never computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import NothingRetained
from workers.unlearning.importances import Sums

Weights = dict[str, Tensor]

# Sums of the same samples in other batches differ by up to this share from rounding alone (windows
# are summed in float32); a smaller difference between `full` and `forget` is nothing, not a tiny
# retain importance.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Population:
    """How many samples: in training (N), and in the cohort to forget (n)."""

    total: int
    forgotten: int

    def __post_init__(self) -> None:
        if not self.forgotten > 0:
            raise ValueError("a cohort holds at least one sample")
        if self.forgotten >= self.total:
            raise NothingRetained(
                "Forgetting these samples leaves no training sample to retain. "
                "Retire the network instead."
            )


def retain_sums(full: Tensor, forget: Tensor) -> Tensor:
    """Fisher sums over the retained samples, float64, never negative."""
    difference = full - forget
    return torch.where(difference > ROUNDING * full, difference, 0.0)


def importance_ratios(full: Tensor, forget: Tensor, population: Population) -> Tensor:
    """I_f / I_r; infinite where only the forgotten samples matter, NaN where none do."""
    retain = retain_sums(full, forget) / (population.total - population.forgotten)
    return (forget / population.forgotten) / retain


def dampening_factors(
    full: Tensor, forget: Tensor, population: Population, *, selection: float, strength: float
) -> Tensor:
    """β for one tensor and one cohort, float64 in [0, 1], shaped like the sums."""
    retain = retain_sums(full, forget) / (population.total - population.forgotten)
    forgotten = forget / population.forgotten
    selected = forgotten > selection * retain
    divisor = torch.where(selected, forgotten, 1.0)
    return torch.where(selected, (strength * retain / divisor).clamp_(max=1.0), 1.0)


def unit_factors(full: Sums) -> Sums:
    """Factors that change nothing, to start the minimum over cohorts from."""
    return {name: torch.ones_like(tensor) for name, tensor in full.items()}


def tighten(
    factors: Sums,
    full: Sums,
    forget: Sums,
    population: Population,
    *,
    selection: float,
    strength: float,
) -> int:
    """Take the minimum of `factors` and one cohort's, in place; return how many it selects to < 1.

    The minimum is commutative, associative and idempotent, so the order of cohorts does not matter.
    """
    dampened = 0
    for name, factor in factors.items():
        mine = dampening_factors(
            full[name], forget[name], population, selection=selection, strength=strength
        )
        dampened += int((mine < 1).sum())
        torch.minimum(factor, mine, out=factor)
    return dampened


def dampen(weights: Mapping[str, Tensor], factors: Mapping[str, Tensor]) -> Weights:
    """The new weights: each parameter times its factor, in the parameter's own precision.

    Tensors without factors (running statistics and other buffers) are the same objects as before.
    """
    return {
        name: (tensor.double() * factors[name]).to(tensor.dtype) if name in factors else tensor
        for name, tensor in weights.items()
    }


def dampened_counts(factors: Mapping[str, Tensor]) -> dict[str, int]:
    """How many entries of each parameter have a factor below 1."""
    return {name: int((factor < 1).sum()) for name, factor in factors.items()}
