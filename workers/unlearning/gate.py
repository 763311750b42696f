"""The gate: what a candidate may cost, what it must have achieved, and what follows from both."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from models import specifications
from workers.unlearning.cohorts import Cohort
from workers.unlearning.damage import falls
from workers.unlearning.intervals import Z
from workers.unlearning.observation import Observed
from workers.unlearning.verification import Closeness, Probe, Rule, Standing, standing_of


@dataclass(frozen=True)
class Bounds:
    """Falls of accuracy since the base, as shares; the attack's distance from 0.5; a count."""

    retained_fall: float
    class_fall: float
    holdout_fall: float
    membership: float
    min_probe: int

    @classmethod
    def of(cls, gate: specifications.Gate) -> "Bounds":
        """Those that a policy's gate sets."""
        return cls(
            retained_fall=gate.max_retained_fall,
            class_fall=gate.max_class_fall,
            holdout_fall=gate.max_holdout_fall,
            membership=gate.max_membership,
            min_probe=gate.min_probe,
        )


@dataclass(frozen=True)
class Judgement:
    """A candidate before the gate. All lists are sentences."""

    standings: dict[Cohort, Standing]
    # Why it costs too much, and why that cannot be told.
    damage: list[str]
    unmeasured: list[str]
    # Why it has not forgotten, and of what that cannot be told.
    shortfalls: list[str]
    undecided: list[str]

    @property
    def passes(self) -> bool:
        """Whether it may be published without further ado."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Everything that speaks against publishing it."""
        return [*self.damage, *self.unmeasured, *self.shortfalls, *self.undecided]

    @property
    def distance(self) -> float:
        """The greatest distance of a cohort from its target, on either side."""
        return max((abs(each.distance or 0.0) for each in self.standings.values()), default=0.0)


class Decision(StrEnum):
    """What becomes of the best candidate there is."""

    PUBLISHED = "published"
    NO_DETECTABLE_INFLUENCE = "no_detectable_influence"
    PUBLISHED_SHORT = "published_short"
    NEEDS_REVIEW = "needs_review"


def decide(judgement: Judgement, *, influenced: bool, best_effort: bool) -> Decision:
    """What follows from a judgement, if no person decides.

    `influenced` says whether the base showed any influence of the samples, `best_effort` whether a
    candidate may be published of which it is not shown that it has forgotten, if it says so.
    """
    if judgement.damage or judgement.unmeasured:
        return Decision.NEEDS_REVIEW
    if judgement.shortfalls or judgement.undecided:
        return Decision.PUBLISHED_SHORT if best_effort else Decision.NEEDS_REVIEW
    return Decision.PUBLISHED if influenced else Decision.NO_DETECTABLE_INFLUENCE


class Gate:
    """Holds candidates against the base and the bounds; all of them have seen one probe.

    What the base shows of a cohort is taken for influence if it is beyond its 95 % interval. A
    candidate of which that was said must come within one standard error of the target: that the
    same difference is no longer significant does not mean that it is gone.
    """

    def __init__(self, base: Observed, probe: Probe, bounds: Bounds) -> None:
        self.base = base
        self.probe = probe
        self.bounds = bounds
        self.at_base = {cohort: self._standing(cohort, base, Z) for cohort in probe.forgotten}

    def influenced_by(self, labels: Collection[int]) -> bool:
        """Whether the base treats any cohort with these labels otherwise than unseen data.

        As far as can be told: where nothing can, it may.
        """
        return any(
            standing.closeness is not Closeness.ALIKE
            for cohort, standing in self.at_base.items()
            if set(labels) & set(cohort.labels)
        )

    def judge(self, candidate: Observed, excused: Collection[Cohort] = ()) -> Judgement:
        """What is wrong with a candidate, if anything is.

        Cohorts that are `excused` were judged before and cannot be looked at any more; that they
        cannot holds nothing up.
        """
        standings = {
            cohort: self._standing(
                cohort, candidate, Z if before.closeness is Closeness.ALIKE else 1.0
            )
            for cohort, before in self.at_base.items()
        }
        return Judgement(
            standings=standings,
            damage=self._damage(candidate),
            unmeasured=_unmeasured(self.probe, candidate, self.bounds),
            shortfalls=[
                _shortfall(cohort, standing, self.probe)
                for cohort, standing in standings.items()
                if not standing.accepted and standing.closeness is not Closeness.UNDECIDABLE
            ],
            undecided=[
                _undecided(cohort, standing, self.bounds)
                for cohort, standing in standings.items()
                if standing.closeness is Closeness.UNDECIDABLE and cohort not in excused
            ],
        )

    def _damage(self, candidate: Observed) -> list[str]:
        return [
            *falls(self.base, candidate, self.probe).reasons(
                retained=self.bounds.retained_fall,
                one_label=self.bounds.class_fall,
                holdout=self.bounds.holdout_fall,
                min_probe=self.bounds.min_probe,
            )
        ]

    def _standing(self, cohort: Cohort, observed: Observed, errors: float) -> Standing:
        return standing_of(
            cohort,
            observed,
            self.probe,
            membership=self.bounds.membership,
            min_probe=self.bounds.min_probe,
            errors=errors,
        )


def _shortfall(cohort: Cohort, standing: Standing, probe: Probe) -> str:
    if standing.rule is Rule.CHANCE:
        assert standing.recognised is not None
        return (
            f"{cohort.title} is forgotten whole, and {100 * standing.recognised.value:.1f} % of "
            f"{standing.recognised.count} {standing.recognised_on} samples of it are still "
            f"recognised; chance would be {100 / probe.num_classes:.1f} %."
        )
    assert standing.attack is not None
    area = standing.attack.area
    looks = "more familiar" if standing.closeness is Closeness.FAMILIAR else "stranger"
    return (
        f"{cohort.title}: the forgotten samples look {looks} than unseen ones of their labels; "
        f"the loss-based attack has an area of {area.value:.3f} ({area.low:.3f} to "
        f"{area.high:.3f}) on {area.count} of them, and 0.5 would be no difference."
    )


def _undecided(cohort: Cohort, standing: Standing, bounds: Bounds) -> str:
    if standing.rule is Rule.CHANCE:
        count, what = standing.recognised.count if standing.recognised else 0, "looked at"
    else:
        count, what = standing.attack.unseen if standing.attack else 0, "to compare with"
    return (
        f"{cohort.title}: there are {count} samples {what}, and the policy wants at least "
        f"{bounds.min_probe} to decide by."
    )


def _unmeasured(probe: Probe, candidate: Observed, bounds: Bounds) -> list[str]:
    count = len(candidate.at(probe.retained))
    if count >= bounds.min_probe:
        return []
    return [
        f"The retained probe holds {count} samples; the policy wants at least "
        f"{bounds.min_probe} to tell the damage by."
    ]
