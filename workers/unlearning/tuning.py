"""Choosing the selection α from the importances themselves.

The adaptive rule of arXiv 2402.10098, per cohort: with n of N samples to forget, α is the
(100 − ln(1 + 100 · n/N)) percentile of the finite importance ratios I_f / I_r, and λ = 1. The more
is forgotten, the lower the percentile and the more weights are selected. α below 1 and λ = 1 select
weights that the factor then leaves alone, so where dampening has to be stronger it is λ that moves.
"""

import math
from dataclasses import dataclass

import torch

from workers.unlearning.dampening import Population, importance_ratios
from workers.unlearning.importances import Sums

# How λ is lowered where a label that is forgotten whole is still recognised, and how often.
STRENGTH_STEP = 0.7
MOST_RUNGS = 10


@dataclass(frozen=True)
class Setting:
    """The two hyperparameters of SSD: selection α and strength λ (smaller dampens more)."""

    selection: float
    strength: float


def strengthened(setting: Setting) -> Setting:
    """The next rung: the same weights are selected, and dampened further."""
    return Setting(setting.selection, setting.strength * STRENGTH_STEP)


def most_recognised(num_classes: int) -> float:
    """The share of a label's unseen samples that may be recognised once it is forgotten whole.

    Half of what guessing would recognise.
    """
    return 0.5 / num_classes


def adaptive_percentile(population: Population) -> float:
    """The percentile of the rule, in (0, 100)."""
    return 100 - math.log1p(100 * population.forgotten / population.total)


def adaptive_selection(full: Sums, forget: Sums, population: Population) -> float:
    """α for one cohort: the nearest-rank percentile over all parameters together.

    0 if there is no finite ratio at all, as when every weight belongs to the forgotten alone.
    """
    ratios = []
    for name, tensor in full.items():
        ratio = importance_ratios(tensor, forget[name], population).flatten()
        ratios.append(ratio[torch.isfinite(ratio)])
    pooled = torch.cat(ratios) if ratios else torch.empty(0, dtype=torch.float64)
    if not len(pooled):
        return 0.0
    rank = math.ceil(adaptive_percentile(population) / 100 * len(pooled))
    return float(pooled.kthvalue(max(rank, 1)).values)
