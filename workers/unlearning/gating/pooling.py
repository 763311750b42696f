"""Cohorts of which none shows anything alone, judged together.

Of twenty samples the loss-based attack tells next to nothing, of twenty times twenty it tells
enough. So the cohorts that the base treats like unseen data one by one are also compared with
unseen samples all at once, label by label as ever.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from models.documents import Closeness, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import NO_FARTHER, ROUNDING, Standing
from workers.unlearning.verification import Thresholds, standing_by_attacks, to_close


@dataclass(frozen=True)
class Pooled:
    """How one network treats the cohorts of a pool, taken together.

    What is not `to_forget` is `excused` while it is no farther from its target than at the base.
    """

    cohorts: frozenset[Cohort]
    standing: Standing
    to_forget: bool
    excused: bool


class Pool:
    """The cohorts that the base treats like unseen data one by one, and what it shows together.

    As with a single cohort, influence is what is beyond `thresholds` at the base, a 95 % interval,
    and then a candidate must come within one standard error. Every sample that is looked at counts
    as much, whichever cohort it is of. Of fewer than two cohorts nothing is judged.

    `alone` is how each stands by the attack, at the base. Those that are to be recognised
    `like_kin` may look stranger than unseen samples of their labels, and so may their pool.

    They are to forget if any of their labels is `asked` for, or if what they show together was
    `forgotten_before`. Otherwise nothing better than the base need be found for them.
    """

    def __init__(
        self,
        alone: Mapping[Cohort, Standing],
        base: Observed,
        probe: Probe,
        thresholds: Thresholds,
        *,
        like_kin: Collection[Cohort],
        asked: Collection[int],
        forgotten_before: bool,
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
        self._may_look_strange = not self.cohorts.isdisjoint(like_kin)
        labels = {label for cohort in self.cohorts for label in cohort.labels}
        self._to_forget = forgotten_before or not labels.isdisjoint(asked)
        at_base = self._standing(base, thresholds)
        self.at_base = self._pooled(at_base, excused=not self._to_forget)
        self._thresholds = to_close(at_base, thresholds)
        self._distance = _distance(self._standing(base, self._thresholds))

    def judge(self, observed: Observed) -> Pooled | None:
        """How the network that has made this of the probe treats them, if there are several."""
        standing = self._standing(observed, self._thresholds)
        no_farther = _distance(standing) - self._distance <= NO_FARTHER + ROUNDING
        return self._pooled(standing, excused=no_farther and not self._to_forget)

    def _standing(self, observed: Observed, thresholds: Thresholds) -> Standing:
        forgotten, unseen = observed.at(self._forgotten), observed.at(self._unseen)
        standing = standing_by_attacks(forgotten, unseen, thresholds)
        if self._may_look_strange and standing.closeness is Closeness.CONSPICUOUS:
            return replace(standing, closeness=Closeness.ALIKE, distance=0.0, accepted=True)
        return standing

    def _pooled(self, standing: Standing, *, excused: bool) -> Pooled | None:
        several = len(self.cohorts) > 1
        return Pooled(self.cohorts, standing, self._to_forget, excused) if several else None


def _distance(standing: Standing) -> float:
    return abs(standing.distance or 0.0)


def closeness_of(
    cohort: Cohort, standings: Mapping[Cohort, Standing], pooled: Pooled | None
) -> Closeness:
    """How a cohort stands to its target; if it shows nothing alone, how it does with others."""
    alone = standings[cohort].closeness
    if alone is Closeness.ALIKE and pooled and pooled.to_forget and cohort in pooled.cohorts:
        return pooled.standing.closeness
    return alone
