"""The whole of what a client declares to put a network under management."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from models.specifications.architecture import ArchitectureSpec
from models.specifications.base import Path, Specification
from models.specifications.dataset import DatasetSpec, HoldoutSpec
from models.specifications.estimator import DEFAULT_ESTIMATOR, EstimatorSpec, require_fitting
from models.specifications.policy import Policy
from models.specifications.preprocessing import Preprocessing

MODEL_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class Enrolment(Specification):
    """Everything needed to put a trained network under management."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "faces",
                    "architecture": {"name": "resnet18", "num_classes": 10},
                    "weights": "/sources/faces.safetensors",
                    "dataset": {"kind": "images", "manifest": "/sources/faces/manifest.csv"},
                    "preprocessing": {
                        "size": 224,
                        "mean": [0.485, 0.456, 0.406],
                        "std": [0.229, 0.224, 0.225],
                    },
                }
            ]
        },
    )

    name: str = Field(pattern=MODEL_NAME, description="Name in every path and report.")
    architecture: ArchitectureSpec
    weights: Path = Field(
        description="Path of the trained weights, a safetensors file, as the worker sees it."
    )
    dataset: DatasetSpec
    preprocessing: Preprocessing
    holdout: HoldoutSpec = HoldoutSpec()
    estimator: EstimatorSpec = Field(
        default=DEFAULT_ESTIMATOR,
        description="Which gradients are summed to measure how much a weight matters.",
    )
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _policy_fits(self) -> "Enrolment":
        require_fitting(self.policy, self.estimator)
        return self

    def checkpoint_metadata(self) -> dict[str, Any]:
        """What the files of checkpoints say about themselves."""
        return self.model_dump(mode="json", include={"architecture", "preprocessing"})
