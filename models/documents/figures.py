"""Figures: what one network makes of samples, with counts and 95 % intervals.

Shares are from 0 to 1, losses in nats. A figure is null where nothing was measured.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from models.documents.base import Document

Reference = Literal["unseen", "forgotten"]


class Rule(StrEnum):
    """What a cohort is held against."""

    LIKE_UNSEEN = "like_unseen"
    EXPECTED = "expected"
    CHANCE = "chance"


class Closeness(StrEnum):
    """How a cohort stands to its target."""

    FAMILIAR = "familiar"
    ALIKE = "alike"
    CONSPICUOUS = "conspicuous"
    UNDECIDABLE = "undecidable"


class Estimate(Document):
    """A figure, how many samples it rests on, and its 95 % interval; null if it is not finite."""

    value: float | None
    count: int
    low: float | None
    high: float | None


class LossAttack(Document):
    """What an attacker by losses finds, who compares with unseen samples of the same labels."""

    area: Estimate = Field(description="Under the ROC curve: 0.5 if the two look alike.")
    true_positives_at_1_percent: Estimate | None
    unseen: int = Field(description="Unseen samples that were compared with.")
    unmatched: int = Field(description="Forgotten samples without unseen ones of their label.")


class GapAttack(Document):
    """How much more often forgotten samples are recognised than unseen ones of their labels."""

    gap: float = Field(description="As a share; negative if they are recognised less often.")
    count: int = Field(description="Forgotten samples that were compared.")
    chance: float = Field(
        description="How likely so great a difference, on either side, would be by chance alone."
    )


class Standing(Document):
    """How one network treats one cohort, or several together."""

    rule: Rule
    closeness: Closeness
    distance: float | None = Field(
        description="How far the deciding figure lies beyond the bound: positive if the samples "
        "are too familiar, negative if they look stranger than unseen ones."
    )
    bound: float | None
    accepted: bool = Field(description="Whether they may be called forgotten.")
    accuracy: Estimate | None = Field(description="On the forgotten samples.")
    recognised: Estimate | None = Field(description="By the rules `expected` and `chance`.")
    recognised_on: Reference | None
    expected: float | None = Field(
        description="The share that a network which was never taught them is expected to recognise."
    )
    attack: LossAttack | None
    gap: GapAttack | None = Field(
        default=None, description="Not in verdicts of versions that did not look at it."
    )
    by_gap: bool = Field(
        default=False,
        description="Whether the gap decides: losses do not tell the samples from unseen ones.",
    )


class GroupFigures(Document):
    """Accuracy and mean loss on a set of samples."""

    accuracy: Estimate | None
    loss: Estimate | None


class LabelFigures(Document):
    """The samples of one label."""

    forgotten: GroupFigures
    retained: GroupFigures
    holdout: GroupFigures
    loss_attack: LossAttack | None


class Attacks(Document):
    """What attackers make of the forgotten samples."""

    loss: LossAttack | None
    entropy: Estimate | None = Field(description="By the attack of SSD's authors.")


class Figures(Document):
    """One network on each set of samples of the probe."""

    forgotten: GroupFigures
    retained: GroupFigures
    holdout: GroupFigures
    holdout_of_retained_labels: GroupFigures
    by_label: dict[int, LabelFigures]
    attacks: Attacks
