"""What the gate finds of a candidate, and what follows from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from models.documents import Closeness, Decision
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.damage import Falls
from workers.unlearning.gating.pooling import Pooled, closeness_of
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.standing import Standing, is_some


@dataclass(frozen=True)
class Judgement:
    """A candidate before the gate. All lists are sentences."""

    standings: dict[Cohort, Standing]
    falls: Falls
    # Whether those that stay lose next to nothing, whatever their label.
    spares: bool
    # Why it costs too much, and why that cannot be told.
    damage: list[str]
    unmeasured: list[str]
    # Why it has not forgotten, and of what that cannot be told.
    shortfalls: list[str]
    undecided: list[str]
    # Shortfalls that were accepted with an earlier version, and hold nothing up.
    conceded: list[str] = field(default_factory=list)
    # Cohorts that are known again although an earlier version has forgotten them.
    given_back: Collection[Cohort] = frozenset()
    # Of labels that are gone, the share recognised with the base's last layer put back.
    last_layer_restored: Mapping[Cohort, Estimate] = field(default_factory=dict)
    # The cohorts that show nothing alone, taken together, where there are several.
    pooled: Pooled | None = None
    # Whether a part of the probe has shown enough, so that the rest was not looked at.
    at_a_glance: bool = False

    @property
    def passes(self) -> bool:
        """Whether it may be published without further ado."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Everything that speaks against publishing it."""
        return [*self.damage, *self.unmeasured, *self.shortfalls, *self.undecided]

    @property
    def cost(self) -> float:
        """What is left of labels that are gone, and what is lost of the others, as shares."""
        return sum(each.left for each in self.standings.values()) + self.falls.loss

    @property
    def is_ideal(self) -> bool:
        """Whether it passes, and another candidate could hardly be better."""
        reached = not any(
            each.leaves_some
            or self.closeness_of(cohort) in (Closeness.FAMILIAR, Closeness.CONSPICUOUS)
            for cohort, each in self.standings.items()
        )
        return self.passes and self.spares and reached

    def closeness_of(self, cohort: Cohort) -> Closeness:
        """How a cohort stands to its target, alone or, if it shows nothing so, with others."""
        return closeness_of(cohort, self.standings, self.pooled)

    def gives_away(self, cohort: Cohort) -> bool:
        """Whether it is still known that its samples were learnt, or cannot be told."""
        alone, pooled = self.standings[cohort], self.pooled
        if pooled and cohort in pooled.cohorts and not (pooled.excused or pooled.standing.accepted):
            return True
        return alone.apart is not None or not (alone.accepted or alone.is_loss)

    @property
    def left_below(self) -> float:
        """What is left below the last layer of labels that are gone, as shares, if it is some."""
        return sum(self.last_layer_restored[cohort].value for cohort in self.shallow)

    @property
    def shallow(self) -> set[Cohort]:
        """Cohorts of labels that are gone, of which something is left below it."""
        return {cohort for cohort, each in self.last_layer_restored.items() if is_some(each)}

    @property
    def distance(self) -> float:
        """The greatest distance of a cohort from its target, or of several, on either side."""
        together = [self.pooled.standing] if self.pooled and self.pooled.to_forget else []
        standings = [*self.standings.values(), *together]
        return max((abs(each.distance or 0.0) for each in standings), default=0.0)


def decide(judgement: Judgement, *, influenced: bool, best_effort: bool) -> Decision:
    """What follows from a judgement, if no person decides.

    `influenced` says whether the base showed any influence of the samples, `best_effort` whether a
    candidate may be published of which it is not shown that it has forgotten, if it says so. What
    an earlier version has forgotten is not given back for that.
    """
    if judgement.damage or judgement.unmeasured or judgement.given_back:
        return Decision.NEEDS_REVIEW
    if judgement.shortfalls or judgement.undecided:
        return Decision.PUBLISHED_SHORT if best_effort else Decision.NEEDS_REVIEW
    return Decision.PUBLISHED if influenced else Decision.NO_DETECTABLE_INFLUENCE
