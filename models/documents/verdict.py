"""The verdict of a run: what was decided and why, and everything that was measured for it."""

from enum import StrEnum

from pydantic import Field

from models.documents.base import Document
from models.documents.figures import Estimate, Figures, Reference, Rule, Standing
from models.specifications import Policy


class Decision(StrEnum):
    """What becomes of the best candidate there is."""

    PUBLISHED = "published"
    NO_DETECTABLE_INFLUENCE = "no_detectable_influence"
    PUBLISHED_SHORT = "published_short"
    NEEDS_REVIEW = "needs_review"
    # Held for a review as well, for want of samples to decide by.
    UNDECIDABLE = "undecidable"


class CohortSetting(Document):
    """How strongly a cohort is dampened."""

    selection: float = Field(alias="alpha")
    strength: float = Field(alias="lambda")


class Expectation(Document):
    """What is expected of a network that was never taught a cohort."""

    share: float = Field(description="Of the samples at `positions`, how many it recognises.")
    on: Reference
    of_kind: bool = Field(description="Whether the cohort is a kind within its label.")
    positions: list[int]
    excused: list[int] = Field(description="Holdout samples that need not be recognised as before.")


class CohortVerdict(CohortSetting):
    """A cohort, as the base and the candidate that was taken treat it."""

    name: str
    labels: list[int]
    samples: int
    dampened: int = Field(description="Weights that its own setting dampens.")
    rule: Rule
    expectation: Expectation | None
    base: Standing
    candidate: Standing
    last_layer_restored: Estimate | None = Field(
        description="Of labels that are gone, what is recognised with the base's last layer."
    )
    gives_away: bool = Field(description="Whether the network may still give its samples away.")


class Pool(Document):
    """The cohorts that show nothing one by one, taken together."""

    cohorts: list[str]
    base: Standing
    candidate: Standing
    forgotten: bool = Field(description="If so, every later version has to forget them as well.")


class Fall(Document):
    """Accuracy of the base and of a candidate on the same samples."""

    base: float
    candidate: float
    count: int
    fall: Estimate


class LabelFall(Fall):
    """Accuracy on the retained samples of one label."""

    label: int


class Rung(Document):
    """One candidate: its settings, what it costs, what it reaches, and what speaks against it."""

    settings: dict[str, CohortSetting]
    at_a_glance: bool = Field(
        description="Whether a part of the probe left no doubt that it cannot pass, so that its "
        "figures are of that part."
    )
    passes: bool
    damage: list[str]
    shortfalls: list[str]
    undecided: list[str]
    given_back: list[str] = Field(
        description="Cohorts that are known again although the published version has forgotten "
        "them. Such a candidate cannot be approved."
    )
    distance: float = Field(description="The greatest distance of a cohort from its target.")
    change_norm: float = Field(description="L2 norm of the change of weights.")
    retained: Fall | None
    holdout_of_retained_labels: Fall | None
    worst_label: LabelFall | None
    cohorts: dict[str, Standing] = Field(
        description="If labels go whole, forgotten samples were looked at through the candidate "
        "that was taken, and through others only where too few unseen ones tell of a label."
    )
    pool: Standing | None
    last_layer_restored: dict[str, Estimate]


class Asked(Document):
    """What the run's items turned out to be."""

    training: int = Field(description="Samples that the network was trained on.")
    holdout: int = Field(description="Samples that it never was trained on.")
    unreadable: int = Field(description="Samples that cannot be used: their items say why.")


class DamageBudget(Document):
    """How far accuracy on unseen samples may fall through all deletions together."""

    allowed: float
    spent: float | None
    retraining_advised: bool


class LayerChange(Document):
    """What was done to one parameter."""

    total: int
    dampened: int
    share: float
    changed: int = Field(description="Entries whose value is another one.")
    change_norm: float


class WeightsChange(Document):
    """What was done to the weights."""

    total: int
    dampened: int
    share: float
    change_norm: float
    layers: dict[str, LayerChange]


class NetworkFigures(Document):
    """The figures of the base and of the candidate that was taken."""

    base: Figures
    candidate: Figures


class Verdict(Document):
    """What a run found, and what follows."""

    outcome: Decision
    asked: Asked
    parted: int = Field(
        description="Items of it that are tried without the others, because they do not keep it "
        "from passing. It cannot be approved then: all of them are judged again."
    )
    reasons: list[str] = Field(description="Why no more has come of it.")
    remarks: list[str] = Field(description="What a reader of the figures must know.")
    policy: Policy
    policy_version: int
    damage_budget: DamageBudget
    holdout_excused: dict[int, int] = Field(
        description="Holdout samples whose fall is not counted, by label: they are like the "
        "forgotten ones."
    )
    rung: int = Field(description="The candidate that was taken, by its place in the ladder.")
    ladder: list[Rung] = Field(description="All candidates, in the order they were tried.")
    cohorts: list[CohortVerdict]
    pool: Pool | None
    figures: NetworkFigures
    weights: WeightsChange

    @property
    def taken(self) -> Rung:
        """The candidate that was taken."""
        return self.ladder[self.rung]
