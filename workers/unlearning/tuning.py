"""Choosing the selection α from the importances themselves.

The adaptive rule of arXiv 2402.10098, per cohort: with n of N samples to forget, α is the
(100 − ln(1 + 100 · n/N)) percentile of the finite importance ratios I_f / I_r, and λ = 1. The more
is forgotten, the lower the percentile and the more weights are selected.
"""

import math

import torch

from workers.unlearning.dampening import Population, importance_ratios
from workers.unlearning.importances import Sums


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
