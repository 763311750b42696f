"""Which gradients are summed, and which policies need the sums of one of these."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from models.specifications.base import Integer, Specification
from models.specifications.policy import Policy


class EmpiricalEstimator(Specification):
    """Squared gradients of the cross-entropy at the true labels."""

    kind: Literal["empirical"] = "empirical"


class LabelFreeEstimator(Specification):
    """Absolute gradients of the squared norm of the outputs (arXiv 2402.19308)."""

    kind: Literal["label_free"] = "label_free"


class PredictiveEstimator(Specification):
    """Squared gradients of the cross-entropy at labels drawn from the network's prediction."""

    kind: Literal["predictive"] = "predictive"
    seed: Integer = Field(default=0, ge=0, lt=2**63, description="Seed of the draws.")


EstimatorSpec = Annotated[
    LabelFreeEstimator | PredictiveEstimator | EmpiricalEstimator, Field(discriminator="kind")
]
DEFAULT_ESTIMATOR = LabelFreeEstimator()
ESTIMATORS: Mapping[str, EstimatorSpec] = {
    spec.kind: spec for spec in (DEFAULT_ESTIMATOR, PredictiveEstimator(), EmpiricalEstimator())
}


def require_fitting(policy: Policy, estimator: EstimatorSpec) -> None:
    """Raise `ValueError` if the policy's method needs sums that this estimator does not make."""
    if policy.method.method == "label_free" and estimator.kind != "label_free":
        raise ValueError(
            "the method label_free needs a model that is enrolled with the label_free estimator"
        )
