"""Cohorts of which none shows anything alone, judged together.

Of twenty samples the loss-based attack tells next to nothing, of twenty times twenty it tells
enough. So the cohorts that the base treats like unseen data one by one are also compared with
unseen samples all at once, label by label as ever.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from workers.unlearning.cohorts import Cohort
from workers.unlearning.intervals import Z
from workers.unlearning.membership import loss_attack
from workers.unlearning.observation import Observed
from workers.unlearning.probe import Probe
from workers.unlearning.verification import (
    Closeness,
    Concession,
    Rule,
    Standing,
    Thresholds,
    standing_by_attack,
)


@dataclass(frozen=True)
class Pooled:
    """How one network treats the cohorts of a pool, taken together.

    If nothing of them is `asked` for, nothing better than that need be looked for; and it is
    `excused`, which is to say that it holds nothing up, unless it was better at the base.
    """

    cohorts: frozenset[Cohort]
    standing: Standing
    asked: bool = True
    excused: bool = False


class Pool:
    """The cohorts that the base treats like unseen data one by one, and what it shows together.

    As with a single cohort, influence is what is beyond a 95 % interval at the base, and then a
    candidate must come within one standard error. Every sample that is looked at counts as much,
    whichever cohort it is of. What nobody has `asked` for in this run is excused, unless it gets
    worse. Of fewer than two cohorts nothing is judged.
    """

    def __init__(
        self,
        alone: Mapping[Cohort, Standing],
        base: Observed,
        probe: Probe,
        thresholds: Thresholds,
        asked: Collection[int],
    ) -> None:
        self.cohorts = frozenset(
            cohort
            for cohort, standing in alone.items()
            if standing.rule is Rule.LIKE_UNSEEN and standing.closeness is Closeness.ALIKE
        )
        self._forgotten = {p for cohort in self.cohorts for p in probe.forgotten[cohort]}
        self._unseen = {
            p for cohort in self.cohorts for p in probe.like(cohort, base).positions.tolist()
        }
        self._thresholds = replace(thresholds, attack_errors=Z)
        self._is_asked = any(set(asked) & set(cohort.labels) for cohort in self.cohorts)
        self._excuse: Concession | None = None
        self.at_base = self.judge(base)
        if self.at_base and self.at_base.standing.closeness is not Closeness.ALIKE:
            self._thresholds = replace(thresholds, attack_errors=1.0)
        if not self._is_asked:
            self._excuse = Concession.of(self._standing(base))

    def judge(self, observed: Observed) -> Pooled | None:
        """How the network that has made this of the probe treats them, if there are several."""
        if len(self.cohorts) < 2:
            return None
        standing = self._standing(observed)
        excused = self._excuse is not None and self._excuse.covers(standing)
        return Pooled(self.cohorts, standing, self._is_asked, excused)

    def _standing(self, observed: Observed) -> Standing:
        forgotten, unseen = observed.at(self._forgotten), observed.at(self._unseen)
        return standing_by_attack(loss_attack(forgotten, unseen), forgotten, self._thresholds)


def closeness_of(
    cohort: Cohort, standings: Mapping[Cohort, Standing], pooled: Pooled | None
) -> Closeness:
    """How a cohort stands to its target; if it shows nothing alone, how it does with others."""
    alone = standings[cohort].closeness
    if alone is Closeness.ALIKE and pooled and pooled.asked and cohort in pooled.cohorts:
        return pooled.standing.closeness
    return alone
