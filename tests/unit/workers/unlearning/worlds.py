"""Small worlds for searches, in which it is known what is enough and what damages."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hypothesis import strategies as st

from models.documents import Closeness, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.damage import Falls
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.gating.pooling import Pooled
from workers.unlearning.probing.standing import Standing
from workers.unlearning.searching.search import search
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import STEP_FACTOR, Setting

COHORTS = [Cohort((label,), 10, scattered=False) for label in range(4)]
SEEDS = {cohort: 2.0 + 5 * i for i, cohort in enumerate(COHORTS)}
PLENTY = Limits(candidates=64, seconds=math.inf)
NO_FALLS = Falls(None, {}, None)
Steps = tuple[float, ...]
# Steps of a hundredth: what is known only to rounding is not what is tested here.
needed = st.integers(-1100, 1900).map(lambda n: n / 100)


@dataclass(frozen=True)
class World:
    """What a network does at which settings, told in steps stronger than the seeds.

    A cohort is familiar below `needs`, conspicuous from `strange` on; damage is the sum of `costs`,
    which grow as the strength of settings does, beyond `bearable`. Below that those that stay lose
    nothing that is worth a further candidate if they are `spared`, and a little otherwise. To be
    conspicuous may be `accepted`.
    """

    needs: Steps
    strange: Steps = (math.inf,) * 4
    costs: Steps = (0.0,) * 4
    bearable: float = math.inf
    spared: bool = False
    accepted: bool = False
    # All cohorts together are familiar below the sum of their steps, where there is one.
    together: float | None = None
    # By how much the needs of each cohort are greater at these steps.
    influence: Callable[[Steps], Steps] = field(default=lambda steps: (0.0,) * len(steps))

    @property
    def seeds(self) -> dict[Cohort, float]:
        return {cohort: SEEDS[cohort] for cohort in COHORTS[: len(self.needs)]}

    def damages(self, steps: Steps) -> bool:
        cost = math.fsum(c * STEP_FACTOR**s for c, s in zip(self.costs, steps, strict=False))
        return cost > self.bearable

    def accepts(self, distance: float) -> bool:
        return distance == 0 or (distance < 0 and self.accepted)

    def beyond(self, steps: Steps) -> list[float]:
        """How far each cohort is from being like unseen data; negative if it is conspicuous."""
        needs = [a + b for a, b in zip(self.needs, self.influence(steps), strict=True)]
        return [
            max(0.0, need - step) or min(0.0, limit - step - 0.01)
            for need, limit, step in zip(needs, self.strange, steps, strict=False)
        ]

    def attempt(self, settings: Mapping[Cohort, Setting]) -> Trial:
        steps = steps_of(settings)
        distances = self.beyond(steps)
        pooled = self.pooled(settings, sum(steps))
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
                damage=["too much"] if self.damages(steps) else [],
                shortfalls=[
                    "not enough"
                    for each in [*distances, pooled.standing.distance if pooled else 0.0]
                    if not self.accepts(each or 0.0)
                ],
                unmeasured=[],
                undecided=[],
            ),
            change=sum(STEP_FACTOR**step for step in steps),
        )

    def pooled(self, cohorts: Iterable[Cohort], steps: float) -> Pooled | None:
        if self.together is None:
            return None
        distance = max(0.0, self.together - steps)
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


def steps_of(settings: Mapping[Cohort, Setting]) -> Steps:
    return tuple(
        round(math.log(SEEDS[cohort] / setting.selection, STEP_FACTOR), 6)
        for cohort, setting in settings.items()
    )


def tried(trials: list[Trial]) -> list[Steps]:
    return [steps_of(trial.settings) for trial in trials]
