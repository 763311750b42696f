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
from workers.unlearning.loops import kernels
from workers.unlearning.loops.compiled import flat, is_compiled
from workers.unlearning.loops.gpu import is_fused

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

    def counts_on(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Retained and forgotten samples, where the sums are.

        By a plain number GPUs do not divide: they multiply with its reciprocal, rounded.
        """
        counts = (self.total - self.forgotten, self.forgotten)
        retained, forgotten = torch.tensor(counts, dtype=sums.dtype, device=sums.device)
        return retained, forgotten


def retain_sums(full: Tensor, forget: Tensor) -> Tensor:
    """Fisher sums over the retained samples, float64, never negative."""
    difference = full - forget
    return torch.where(difference > ROUNDING * full, difference, 0.0)


def importance_ratios(full: Tensor, forget: Tensor, population: Population) -> Tensor:
    """I_f / I_r; infinite where only the forgotten samples matter, NaN where none do."""
    retained, forgotten = population.counts_on(full)
    return (forget / forgotten) / (retain_sums(full, forget) / retained)


def dampening_factors(
    full: Tensor, forget: Tensor, population: Population, *, selection: float, strength: float
) -> Tensor:
    """β for one tensor and one cohort, float64 in [0, 1], shaped like the sums."""
    retained, forgotten = population.counts_on(full)
    retain, forget = retain_sums(full, forget) / retained, forget / forgotten
    selected = forget > selection * retain
    divisor = torch.where(selected, forget, 1.0)
    return torch.where(selected, (strength * retain / divisor).clamp_(max=1.0), 1.0)


def unit_factors(full: Sums) -> Sums:
    """Factors that change nothing, to start the minimum over cohorts from."""
    return {name: torch.ones_like(tensor) for name, tensor in full.items()}


def tighten(
    factors: Sums,
    full: Mapping[str, Tensor],
    forget: Mapping[str, Tensor],
    population: Population,
    *,
    selection: float,
    strength: float,
) -> int:
    """Take the minimum of `factors` and one cohort's, in place; return how many it sets below 1.

    The minimum is commutative, associative and idempotent, so the order of cohorts does not matter.
    """
    return sum(
        tighten_tensor(
            factor, full[name], forget[name], population, selection=selection, strength=strength
        )
        for name, factor in factors.items()
    )


def tighten_tensor(
    factor: Tensor,
    full: Tensor,
    forget: Tensor,
    population: Population,
    *,
    selection: float,
    strength: float,
) -> int:
    """Tighten the factors of one tensor, all three of them float64 of one shape."""
    if is_compiled(factor, full, forget):
        return kernels.tighten(
            flat(factor),
            flat(full),
            flat(forget),
            float(population.total - population.forgotten),
            float(population.forgotten),
            selection,
            strength,
            ROUNDING,
        )
    if is_fused(factor, full, forget):
        from workers.unlearning.loops import gpu_kernels

        return gpu_kernels.tighten(
            factor,
            full,
            forget,
            retained=population.total - population.forgotten,
            forgotten=population.forgotten,
            selection=selection,
            strength=strength,
            rounding=ROUNDING,
        )
    mine = dampening_factors(full, forget, population, selection=selection, strength=strength)
    torch.minimum(factor, mine, out=factor)
    return int((mine < 1).sum())


def scale(weights: Tensor, factors: Tensor) -> Tensor:
    """Each weight times its factor, in float64, rounded once to the weights' own precision."""
    if is_compiled(weights, factors):
        scaled = torch.empty_like(weights)
        kernels.scale(flat(weights), flat(factors), flat(scaled))
        return scaled
    if is_fused(weights, factors):
        from workers.unlearning.loops import gpu_kernels

        return gpu_kernels.scale(weights, factors)
    return (weights.double() * factors).to(weights.dtype)


def apply_factors(weights: Mapping[str, Tensor], factors: Mapping[str, Tensor]) -> Weights:
    """The base dampened with the factors of all cohorts.

    Tensors without factors (running statistics and other buffers) are the same objects as before.
    """
    return {
        name: scale(tensor, factors[name]) if name in factors else tensor
        for name, tensor in weights.items()
    }


def dampen(
    weights: Mapping[str, Tensor],
    *,
    retain: Mapping[str, Tensor],
    forget: Mapping[str, Tensor],
    selection: float,
    strength: float,
) -> int:
    """SSD of one cohort in place, from importances of the weights' shapes; how many have changed.

    One pass over memory. The result is that of the formula at the top, bit for bit, computed in the
    precision of the importances.
    """
    dampened = 0
    for name, importance in forget.items():
        tensors = (weights[name], retain[name], importance)
        if is_compiled(*tensors):
            into, of_retained, of_forgotten = map(flat, tensors)
            dampened += kernels.dampen(into, of_retained, of_forgotten, selection, strength)
            continue
        if is_fused(*tensors):
            from workers.unlearning.loops import gpu_kernels

            dampened += gpu_kernels.dampen(*tensors, selection=selection, strength=strength)
            continue
        selected = importance > selection * retain[name]
        divisor = torch.where(selected, importance, 1.0)
        factor = torch.where(selected, (strength * retain[name] / divisor).clamp_(max=1.0), 1.0)
        weights[name].mul_(factor)
        dampened += int((factor < 1).sum())
    return dampened


def dampened_counts(factors: Mapping[str, Tensor]) -> dict[str, int]:
    """How many entries of each parameter have a factor below 1."""
    return {name: int((factor < 1).sum()) for name, factor in factors.items()}
