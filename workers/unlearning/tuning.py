"""Choosing the selection α from the importances themselves.

The adaptive rule of arXiv 2402.10098, per cohort: with n of N samples to forget, α is the
(100 − ln(1 + 100 · n/N)) percentile of the finite importance ratios I_f / I_r, and λ = 1. The more
is forgotten, the lower the percentile and the more weights are selected. From this seed a search
(`search.py`) goes up and down a scale of settings, in steps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workers.unlearning.dampening import ROUNDING, Population, importance_ratios
from workers.unlearning.loops import kernels
from workers.unlearning.loops.compiled import flat, is_compiled

# What a step stronger divides α by.
STEP_FACTOR = 1.5


@dataclass(frozen=True)
class Setting:
    """The two hyperparameters of SSD: selection α and strength λ (smaller dampens more)."""

    selection: float
    strength: float


def seed_selection(seed: float) -> float:
    """The α to begin at: `seed`, or 1 where that is 0, of which nothing is stronger or gentler.

    Without a finite ratio every weight belongs to the forgotten or to the retained alone.
    """
    return seed or 1.0


def setting_at(seed: float, step: float) -> Setting:
    """The setting at `step`: so many steps stronger than α = `seed`; gentler if negative.

    Down to α = 1 it is the selection that moves. With λ = 1 a lower α selects weights that the
    factor then leaves alone, so from there on both go down together: every weight whose ratio
    exceeds λ is dampened, by λ over its ratio. Along the scale no weight's factor ever rises.
    """
    selection = seed_selection(seed) * STEP_FACTOR**-step
    return Setting(selection=selection, strength=min(1.0, selection))


def stronger(setting: Setting, steps: float) -> Setting:
    """A setting so many steps stronger; gentler if negative, but for λ.

    Where it is stronger it dampens no weight less.
    """
    selection = setting.selection * STEP_FACTOR**-steps
    return Setting(selection=selection, strength=min(setting.strength, selection))


def at_least(setting: Setting, floor: Setting) -> Setting:
    """The setting, or as much stronger as it takes to dampen no weight less than `floor`."""
    return Setting(
        selection=min(setting.selection, floor.selection),
        strength=min(setting.strength, floor.strength),
    )


def step_of(setting: Setting, seed: float) -> float:
    """How many steps stronger than α = `seed` this selection is."""
    return math.log(seed_selection(seed) / setting.selection, STEP_FACTOR)


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
    """That percentile in two passes over the sums: which bucket has the rank, then where in it."""
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
