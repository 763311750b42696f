"""How deletions are carried out, by which method, and what the gate asks of a candidate."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from models.specifications.base import Integer, Number, Specification

# Shares are no exact binary fractions: 29 of a hundred are 0.29 of them.
ROUNDING = 1e-9


class _Method(Specification):
    @property
    def candidates(self) -> int:
        """Settings that are tried, at most."""
        return 1


class AutoMethod(_Method):
    """Start at the adaptive setting and search for what forgets and costs least, within bounds."""

    method: Literal["auto"] = "auto"
    max_candidates: Integer = Field(default=16, ge=1, le=64, description="Settings tried, at most.")
    max_seconds: Number = Field(
        default=900,
        gt=0,
        le=86_400,
        description="No further setting is tried after so long.",
    )

    @property
    def candidates(self) -> int:
        """Settings that are tried, at most."""
        return self.max_candidates


class AdaptiveMethod(_Method):
    """Each cohort's selection is a percentile of its importance ratios (arXiv 2402.10098)."""

    method: Literal["adaptive"]


class LabelFreeMethod(_Method):
    """The adaptive rule on label-free sums (arXiv 2402.19308), which the model is enrolled with."""

    method: Literal["label_free"]


class FixedMethod(_Method):
    """The caller's selection and strength, for every cohort.

    What an earlier version has forgotten is not given back for it: if a cohort would be known again
    like that, it is dampened as it was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    method: Literal["fixed"]
    selection: Number = Field(alias="alpha", gt=0)
    strength: Number = Field(default=1.0, alias="lambda", gt=0)


Method = AutoMethod | AdaptiveMethod | FixedMethod | LabelFreeMethod


def _share(default: float, description: str) -> Any:
    return Field(default=default, ge=0, le=1, allow_inf_nan=False, description=description)


class Gate(Specification):
    """What a candidate may cost and must have achieved before it is published.

    Falls are of accuracy since the base, as shares: 0.02 is 2 points. Every version is computed
    from the base, so they are what all deletions together have cost.
    """

    max_retained_fall: Number = _share(0.02, "Largest fall on the retained probe.")
    max_class_fall: Number = _share(0.1, "Largest fall on the retained samples of one label.")
    max_holdout_fall: Number = _share(
        0.01,
        "Largest fall on unseen samples of labels still retained: the damage budget. Once it is "
        "spent, retraining is advised.",
    )
    max_membership: Number = Field(
        default=0.02,
        ge=0,
        le=0.5,
        description="Distance of the loss-based attack's area from 0.5 that counts as none.",
    )
    max_excess: Number = _share(
        0.02,
        "Share of unseen samples like the forgotten ones by which more may be recognised than is "
        "expected of a network that was never taught them.",
    )
    min_probe: Integer = Field(
        default=30,
        ge=1,
        le=1_000_000,
        description="Fewer retained, or unseen samples to compare with, decide nothing.",
    )
    max_forgotten_share: Number = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Largest share of the training samples that may be forgotten in all.",
    )
    on_shortfall: Literal["review", "best_effort"] = Field(
        default="review",
        description="What to do if nothing within the bounds is seen to forget enough: ask a "
        "person, or publish what comes nearest, its samples marked as weakened.",
    )

    @property
    def is_best_effort(self) -> bool:
        """Whether what comes nearest is published where nothing is seen to forget enough."""
        return self.on_shortfall == "best_effort"

    def allows(self, forgotten: int, of: int) -> bool:
        """Whether so many of the training samples may be forgotten in all: some must be left."""
        return forgotten < of and forgotten <= self.max_forgotten_share * of + ROUNDING

    def is_spent(self, holdout_fall: float | None) -> bool:
        """Whether the damage budget is used up. One of 0 is not, as long as nothing is lost."""
        return holdout_fall is not None and 0 < holdout_fall >= self.max_holdout_fall - ROUNDING


class Policy(Specification):
    """How deletions of a registered model are carried out and judged."""

    method: Annotated[Method, Field(discriminator="method")] = AutoMethod()
    gate: Gate = Gate()
    probe_size: Integer = Field(
        default=1000,
        ge=10,
        le=1_000_000,
        description="Samples of each probe, stratified: retained, holdout, unseen samples of the "
        "labels that are forgotten, and forgotten ones.",
    )
