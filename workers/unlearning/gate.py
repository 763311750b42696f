"""The gate: what a candidate may cost, what it must have achieved, and what follows from both."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from models import specifications
from workers.unlearning.cohorts import Cohort
from workers.unlearning.intervals import Z
from workers.unlearning.observation import Observed
from workers.unlearning.verification import (
    ROUNDING,
    Closeness,
    Probe,
    Rule,
    Standing,
    standing_of,
)


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
class Fall:
    """Accuracy before and after on one set of samples."""

    before: float
    after: float
    count: int

    @property
    def points(self) -> float:
        """How far accuracy has fallen, as a share; negative if it has risen."""
        return self.before - self.after

    def over(self, bound: float) -> bool:
        """Whether it is more than allowed. One sample alone is never too much."""
        return self.points > max(bound, 1 / self.count) + ROUNDING


@dataclass(frozen=True)
class Judgement:
    """A candidate before the gate. All three lists are sentences."""

    standings: dict[Cohort, Standing]
    # Why it costs too much, why it has not forgotten, and what could not be told.
    damage: list[str]
    shortfalls: list[str]
    undecided: list[str]

    @property
    def passes(self) -> bool:
        """Whether it may be published without further ado."""
        return not (self.damage or self.shortfalls or self.undecided)

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
    candidate that did not forget enough may be published, if it says so.
    """
    if judgement.damage or judgement.undecided:
        return Decision.NEEDS_REVIEW
    if judgement.shortfalls:
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

    def judge(self, candidate: Observed) -> Judgement:
        """What is wrong with a candidate, if anything is."""
        standings = {
            cohort: self._standing(
                cohort, candidate, Z if before.closeness is Closeness.ALIKE else 1.0
            )
            for cohort, before in self.at_base.items()
        }
        return Judgement(
            standings=standings,
            damage=_damage(self.base, candidate, self.probe, self.bounds),
            shortfalls=[
                _shortfall(cohort, standing, self.probe)
                for cohort, standing in standings.items()
                if standing.closeness in (Closeness.FAMILIAR, Closeness.CONSPICUOUS)
            ],
            undecided=[
                *_too_small(self.probe, candidate, self.bounds),
                *(
                    _undecided(cohort, standing, self.bounds)
                    for cohort, standing in standings.items()
                    if standing.closeness is Closeness.UNDECIDABLE
                ),
            ],
        )

    def _standing(self, cohort: Cohort, observed: Observed, errors: float) -> Standing:
        return standing_of(
            cohort,
            observed,
            self.probe,
            membership=self.bounds.membership,
            min_probe=self.bounds.min_probe,
            errors=errors,
        )


def falls(
    base: Observed, candidate: Observed, probe: Probe
) -> tuple[Fall | None, dict[int, Fall], Fall | None]:
    """Of the retained probe, of each label in it, and of the holdout of labels still retained."""
    before, after = base.at(probe.retained), candidate.at(probe.retained)
    theirs = after.by_label()
    by_label = {label: _fall(mine, theirs[label]) for label, mine in before.by_label().items()}
    unseen = (each.at(probe.holdout).without(probe.gone) for each in (base, candidate))
    return (
        _fall(before, after),
        {label: fall for label, fall in by_label.items() if fall is not None},
        _fall(*unseen),
    )


def _fall(before: Observed, after: Observed) -> Fall | None:
    if before.accuracy is None or after.accuracy is None:
        return None
    return Fall(before.accuracy, after.accuracy, len(after))


def _damage(base: Observed, candidate: Observed, probe: Probe, bounds: Bounds) -> list[str]:
    retained, by_label, holdout = falls(base, candidate, probe)
    reasons = []
    if retained is not None and retained.over(bounds.retained_fall):
        reasons.append(_too_far("the retained probe", retained, bounds.retained_fall))
    # A few samples of a label do not tell how it fares.
    too_far = {
        label: fall
        for label, fall in by_label.items()
        if fall.count >= bounds.min_probe and fall.over(bounds.class_fall)
    }
    if too_far:
        worst, fall = max(too_far.items(), key=lambda item: item[1].points)
        reasons.append(_too_far(f"retained samples of label {worst}", fall, bounds.class_fall))
    if holdout is not None and holdout.over(bounds.holdout_fall):
        what = "unseen samples of the labels that are still retained"
        reasons.append(_too_far(what, holdout, bounds.holdout_fall))
    return reasons


def _too_far(what: str, fall: Fall, bound: float) -> str:
    return (
        f"Accuracy on {what} ({fall.count} samples) would be "
        f"{100 * fall.points:.1f} points below the base's: {100 * fall.after:.1f} % "
        f"instead of {100 * fall.before:.1f} %. The policy allows {100 * bound:.1f}."
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


def _too_small(probe: Probe, candidate: Observed, bounds: Bounds) -> list[str]:
    count = len(candidate.at(probe.retained))
    if count >= bounds.min_probe:
        return []
    return [
        f"The retained probe holds {count} samples; the policy wants at least "
        f"{bounds.min_probe} to tell the damage by."
    ]
