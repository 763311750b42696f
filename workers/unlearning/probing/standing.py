"""How a network treats a cohort: the standing by which it is judged, now and when it was published.

What makes a standing, which rule and which figures, is in `verification.py`.
"""

from dataclasses import dataclass

from models import documents
from models.documents import Closeness, Reference, Rule
from workers.unlearning.probing.gap_attack import GapAttack
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.membership import LossAttack

# By so much a distance may have grown, for what is dampened beside the cohort, without being more.
NO_FARTHER = 0.02
# What is not worth a further candidate, as a share of all samples.
NEGLIGIBLE = 0.005
# Shares are no exact binary fractions: 0.52 − 0.5 must not be more than 0.02.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Standing:
    """How one network treats one cohort.

    `bound` is the share recognised, or its or an attack's distance from what is expected, that
    counts as none. `distance` is how far the deciding figure lies beyond it: positive on the
    familiar side, negative on the conspicuous one, 0 within; both None where nothing can be said.
    """

    rule: Rule
    closeness: Closeness
    distance: float | None
    bound: float | None
    # Whether it may be called forgotten: alike, recognised no more than by chance, or not many
    # fewer than expected.
    accepted: bool
    accuracy: Estimate | None
    attack: LossAttack | None
    # By the other two rules: of unseen samples like the forgotten ones, or of forgotten ones.
    recognised: Estimate | None
    recognised_on: Reference | None
    # The share of them that a network without the cohort is expected to recognise.
    expected: float | None
    # On which side the attack tells the forgotten samples from unseen ones although another rule
    # decides: that fewer are recognised than expected does not mean that they are not known.
    apart: Closeness | None = None
    gap: GapAttack | None = None
    # Whether it is the gap that decides, since losses do not tell the samples apart.
    by_gap: bool = False

    @property
    def left(self) -> float:
        """Of a label that is gone, the share recognised: a network without it recognises nobody.

        0 for other cohorts, of which nothing tells what lies within the bound from none, and where
        too few were looked at.
        """
        if self.rule is not Rule.CHANCE or self.closeness is Closeness.UNDECIDABLE:
            return 0.0
        assert self.recognised is not None
        return self.recognised.value

    @property
    def leaves_some(self) -> bool:
        """Whether more than half a point is left, and more than one sample."""
        return self.left > 0 and self.recognised is not None and is_some(self.recognised)

    @property
    def is_loss(self) -> bool:
        """Whether fewer are recognised than without the cohort: that is no forgetting any more."""
        return (
            self.rule is Rule.EXPECTED
            and self.closeness is Closeness.CONSPICUOUS
            and not self.accepted
        )


@dataclass(frozen=True)
class Concession:
    """How a cohort stood when it was published although it was short, or what cannot be told."""

    rule: Rule
    closeness: Closeness
    distance: float | None

    @classmethod
    def of(cls, standing: Standing) -> "Concession":
        """That it may stand like this."""
        return cls(standing.rule, standing.closeness, standing.distance)

    def covers(self, standing: Standing) -> bool:
        """Whether a cohort stands as it did then, and no farther from its target."""
        if standing.closeness is not self.closeness:
            return False
        if self.closeness is Closeness.UNDECIDABLE:
            return True
        beyond = abs(standing.distance or 0.0) - abs(self.distance or 0.0)
        return standing.rule is self.rule and beyond <= NO_FARTHER + ROUNDING


@dataclass(frozen=True)
class Known:
    """How well a cohort was known when a version had forgotten it.

    By which rule, the figure that decided, and the share of its samples that was recognised.
    """

    rule: Rule
    figure: float | None
    accuracy: float | None

    @classmethod
    def of(cls, standing: "Standing | documents.Standing") -> "Known":
        """As it stood then, or stands now."""
        by_attack = standing.rule is Rule.LIKE_UNSEEN
        attack = standing.attack.area.value if standing.attack else None
        recognised = standing.recognised.value if standing.recognised else None
        if recognised is not None and standing.rule is Rule.EXPECTED:
            recognised -= standing.expected or 0.0
        accuracy = standing.accuracy.value if standing.accuracy else None
        return cls(standing.rule, attack if by_attack else recognised, accuracy)

    def is_exceeded_by(self, standing: Standing) -> bool:
        """Whether it is known again, and better than it was then.

        That a stricter policy does not accept any more what it was then gives nobody back.
        """
        if standing.closeness is not Closeness.FAMILIAR:
            return False
        now = Known.of(standing)
        pair = (now.figure, self.figure)
        if now.rule is not self.rule:
            pair = (now.accuracy, self.accuracy)
        after, before = pair
        return after is None or before is None or after > before + NO_FARTHER + ROUNDING


def is_some(recognised: Estimate) -> bool:
    """Whether that is more than half a point, and more than one sample."""
    return recognised.value > max(NEGLIGIBLE, 1 / recognised.count) + ROUNDING
