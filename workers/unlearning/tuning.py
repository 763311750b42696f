"""Choosing the selection α from the importances themselves.

The adaptive rule of arXiv 2402.10098, per cohort: with n of N samples to forget, α is the
(100 − ln(1 + 100 · n/N)) percentile of the finite importance ratios I_f / I_r, and λ = 1. The more
is forgotten, the lower the percentile and the more weights are selected. α below 1 and λ = 1 select
weights that the factor then leaves alone, so where dampening has to be stronger it is λ that moves.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workers.unlearning import kernels
from workers.unlearning.compiled import flat, is_compiled
from workers.unlearning.dampening import ROUNDING, Population, importance_ratios

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


def adaptive_selection(
    full: Mapping[str, Tensor], forget: Mapping[str, Tensor], population: Population
) -> float:
    """α for one cohort: the nearest-rank percentile over all parameters together.

    0 if there is no finite ratio at all, as when every weight belongs to the forgotten alone.
    """
    share = adaptive_percentile(population) / 100
    pairs = [(tensor, forget[name]) for name, tensor in full.items()]
    if all(is_compiled(*pair) for pair in pairs):
        return _ranked_by_counting(pairs, share, population)
    ratios = [importance_ratios(*pair, population).flatten() for pair in pairs]
    pooled = torch.cat([ratio[torch.isfinite(ratio)] for ratio in ratios])
    if not len(pooled):
        return 0.0
    return float(pooled.kthvalue(max(1, math.ceil(share * len(pooled)))).values)


def _ranked_by_counting(
    pairs: list[tuple[Tensor, Tensor]], share: float, population: Population
) -> float:
    """The same in two passes over the sums: which bucket the rank falls into, then where in it."""
    arrays = [(flat(full), flat(forget)) for full, forget in pairs]
    numbers = (float(population.total - population.forgotten), float(population.forgotten))
    by_thread = np.zeros((torch.get_num_threads(), kernels.BUCKETS), dtype=np.int64)
    for full, forget in arrays:
        kernels.count_ratios(by_thread, full, forget, *numbers, ROUNDING)
    counts = by_thread.sum(axis=0)
    if not counts.any():
        return 0.0
    rank = max(1, math.ceil(share * int(counts.sum())))
    bucket = int(np.searchsorted(np.cumsum(counts), rank))
    found = np.empty(counts[bucket])
    filled = 0
    for full, forget in arrays:
        filled = kernels.collect_ratios(found, filled, bucket, full, forget, *numbers, ROUNDING)
    found.sort()
    return float(found[rank - 1 - int(counts[:bucket].sum())])
