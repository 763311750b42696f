"""Small worlds for searches, in which it is known what is enough and what damages."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from workers.unlearning.cohorts import Cohort
from workers.unlearning.damage import Falls
from workers.unlearning.judgement import Judgement
from workers.unlearning.pooling import Pooled
from workers.unlearning.search import Limits, Trial, search
from workers.unlearning.tuning import RUNG, Setting
from workers.unlearning.verification import Closeness, Rule, Standing

COHORTS = [Cohort((label,), 10, scattered=False) for label in range(4)]
SEEDS = {cohort: 2.0 + 5 * i for i, cohort in enumerate(COHORTS)}
PLENTY = Limits(candidates=64, seconds=math.inf)
NO_FALLS = Falls(None, {}, None)
Rungs = tuple[float, ...]


@dataclass(frozen=True)
class World:
    """What a network does at which rungs, in steps stronger than the seeds.

    A cohort is familiar below `needs`, conspicuous from `strange` on; damage is the sum of `costs`,
    which grow as the strength of settings does, beyond `bearable`. Below that those that stay lose
    nothing that is worth a further candidate if they are `spared`, and a little otherwise. To be
    conspicuous may be `accepted`.
    """

    needs: Rungs
    strange: Rungs = (math.inf,) * 4
    costs: Rungs = (0.0,) * 4
    bearable: float = math.inf
    spared: bool = False
    accepted: bool = False
    # All cohorts together are familiar below the sum of their rungs, where there is one.
    together: float | None = None
    # By how much the needs of each cohort are greater at these rungs.
    influence: Callable[[Rungs], Rungs] = field(default=lambda rungs: (0.0,) * len(rungs))

    @property
    def seeds(self) -> dict[Cohort, float]:
        return {cohort: SEEDS[cohort] for cohort in COHORTS[: len(self.needs)]}

    def damages(self, rungs: Rungs) -> bool:
        cost = math.fsum(c * RUNG**r for c, r in zip(self.costs, rungs, strict=False))
        return cost > self.bearable

    def accepts(self, distance: float) -> bool:
        return distance == 0 or (distance < 0 and self.accepted)

    def beyond(self, rungs: Rungs) -> list[float]:
        """How far each cohort is from being like unseen data; negative if it is conspicuous."""
        needs = [a + b for a, b in zip(self.needs, self.influence(rungs), strict=True)]
        return [
            max(0.0, need - rung) or min(0.0, limit - rung - 0.01)
            for need, limit, rung in zip(needs, self.strange, rungs, strict=False)
        ]

    def attempt(self, settings: Mapping[Cohort, Setting]) -> Trial:
        rungs = rungs_of(settings)
        distances = self.beyond(rungs)
        pooled = self.pooled(settings, sum(rungs))
        return Trial(
            settings=dict(settings),
            judgement=Judgement(
                standings={
                    cohort: standing(distance, accepted=self.accepts(distance))
                    for cohort, distance in zip(settings, distances, strict=True)
                },
                pooled=pooled,
                falls=NO_FALLS,
                spares=self.spared,
                damage=["too much"] if self.damages(rungs) else [],
                shortfalls=[
                    "not enough"
                    for each in [*distances, pooled.standing.distance if pooled else 0.0]
                    if not self.accepts(each or 0.0)
                ],
                unmeasured=[],
                undecided=[],
            ),
            change=sum(RUNG**rung for rung in rungs),
        )

    def pooled(self, cohorts: Iterable[Cohort], rungs: float) -> Pooled | None:
        if self.together is None:
            return None
        distance = max(0.0, self.together - rungs)
        together = standing(distance, accepted=distance == 0)
        return Pooled(frozenset(cohorts), together, to_forget=True, excused=False)

    def search(
        self,
        limits: Limits = PLENTY,
        at_base: Closeness | Mapping[Cohort, Closeness] = Closeness.FAMILIAR,
    ) -> list[Trial]:
        known = dict.fromkeys(self.seeds, at_base) if isinstance(at_base, Closeness) else at_base
        return search(self.seeds, known, self.attempt, limits)


def standing(distance: float | None, *, accepted: bool = False) -> Standing:
    if distance is None:
        closeness = Closeness.UNDECIDABLE
    elif distance:
        closeness = Closeness.FAMILIAR if distance > 0 else Closeness.CONSPICUOUS
    else:
        closeness = Closeness.ALIKE
    return Standing(
        Rule.LIKE_UNSEEN, closeness, distance, 0.02, accepted, None, None, None, None, None
    )


def rungs_of(settings: Mapping[Cohort, Setting]) -> Rungs:
    return tuple(
        round(math.log(SEEDS[cohort] / setting.selection, RUNG), 6)
        for cohort, setting in settings.items()
    )


def tried(trials: list[Trial]) -> list[Rungs]:
    return [rungs_of(trial.settings) for trial in trials]
