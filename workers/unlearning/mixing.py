"""Mixing: the base dampened with a setting for every cohort, by the minimum over their factors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.unlearning.cohorts import Cohort
from workers.unlearning.dampening import (
    ROUNDING,
    Population,
    Weights,
    apply_factors,
    dampened_counts,
    tighten,
    unit_factors,
)
from workers.unlearning.importances import Sums
from workers.unlearning.tuning import Setting, adaptive_selection

CohortSettings = Mapping[Cohort, Setting]


@dataclass(frozen=True)
class Mixture:
    """New weights, and how many entries have a factor below 1.

    `by_cohort` counts those of each cohort alone, `by_parameter` those of all cohorts together.
    """

    weights: Weights
    by_cohort: dict[Cohort, int]
    by_parameter: dict[str, int]


class Mixer:
    """Mixes cohorts out of `total` training samples; `sums_of` gives a cohort's Fisher sums.

    Those `pinned` have the same setting in most mixtures, so their factors are found once.
    """

    def __init__(
        self,
        base: Weights,
        full: Sums,
        total: int,
        sums_of: Callable[[Cohort], Sums],
        pinned: CohortSettings | None = None,
    ) -> None:
        self.base = base
        self.full = full
        self._total = total
        self._sums_of = sums_of
        self._pinned = pinned or {}
        self._of_pinned: tuple[Sums, dict[Cohort, int]] | None = None
        self._last: tuple[CohortSettings, Mixture] | None = None

    def adaptive_selection(self, cohort: Cohort) -> float:
        """A cohort's α by the percentile rule, a hair above the weight that it is taken from.

        Whether that one is selected must not hang on how its sums were rounded.
        """
        exact = adaptive_selection(self.full, self._sums_of(cohort), self._population(cohort))
        return exact * (1 + ROUNDING)

    def mix(self, settings: CohortSettings) -> Mixture:
        """Dampen the base with these settings; the same as last time costs nothing."""
        if self._last is None or self._last[0] != settings:
            # A copy: what the caller does to its own afterwards makes other settings of it.
            self._last = (dict(settings), self._mixed(settings))
        return self._last[1]

    def _mixed(self, settings: CohortSettings) -> Mixture:
        factors, of_pinned = self._begun(settings)
        rest = {cohort: each for cohort, each in settings.items() if cohort not in of_pinned}
        counts = {**of_pinned, **self._tightened(factors, rest)}
        return Mixture(
            weights=apply_factors(self.base, factors),
            by_cohort={cohort: counts[cohort] for cohort in settings},
            by_parameter=dampened_counts(factors),
        )

    def _begun(self, settings: CohortSettings) -> tuple[Sums, Mapping[Cohort, int]]:
        """The factors of the pinned cohorts, to be tightened further, if these settings have them.

        The least of several factors is the same in whatever order they come.
        """
        if not self._pinned or not self._pinned.items() <= settings.items():
            return unit_factors(self.full), {}
        if self._of_pinned is None:
            factors = unit_factors(self.full)
            self._of_pinned = factors, self._tightened(factors, self._pinned)
        factors, counts = self._of_pinned
        return {name: tensor.clone() for name, tensor in factors.items()}, counts

    def _tightened(self, factors: Sums, settings: CohortSettings) -> dict[Cohort, int]:
        """Tighten the factors in place; how many of them each cohort has alone."""
        return {
            cohort: tighten(
                factors,
                self.full,
                self._sums_of(cohort),
                self._population(cohort),
                selection=setting.selection,
                strength=setting.strength,
            )
            for cohort, setting in settings.items()
        }

    def _population(self, cohort: Cohort) -> Population:
        return Population(total=self._total, forgotten=cohort.count)


def change_of_weights(
    base: Mapping[str, Tensor], weights: Mapping[str, Tensor], names: Iterable[str]
) -> dict[str, tuple[int, float]]:
    """Of each named tensor: how many entries differ, and the Euclidean norm of the difference."""
    changes = {}
    for name in names:
        difference = weights[name].double() - base[name].double()
        changes[name] = (int(torch.count_nonzero(difference)), float(difference.norm()))
    return changes
