"""What a client declares about a network: architecture, dataset, preprocessing, policy.

All of it is data, checked here and never executed. The same shapes serve the API, the command
line and the rows in which they are kept.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MODEL_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    return value


# No file name and no text of PostgreSQL can hold a NUL.
Text = Annotated[str, AfterValidator(_without_nul)]
Path = Annotated[Text, Field(pattern=r"\S", max_length=4096)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Specification(BaseModel):
    """Base of all declarations: unknown fields are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# Architecture ----------------------------------------------------------------------------------


class ArchitectureSpec(Specification):
    """Which network the weights belong to."""

    name: Text = Field(
        min_length=1,
        max_length=64,
        description="A torchvision classification network, or one of Expunge's own.",
        examples=["resnet18"],
    )
    num_classes: int = Field(ge=2, le=1_000_000, description="Outputs of the network.")
    options: dict[Text, bool | int | Number | Text] = Field(
        default_factory=dict,
        description="Further arguments of the builder, e.g. `cifar_stem` for ResNets.",
    )


# Dataset ---------------------------------------------------------------------------------------


class HoldoutSpec(Specification):
    """How to draw a holdout where the dataset does not declare one."""

    fraction: float = Field(default=0.1, gt=0, lt=1, description="Share of each label kept aside.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the draw.")


class ImagesSpec(Specification):
    """PNG or JPEG files named by a CSV or Parquet manifest: sample_id, path, label[, split]."""

    kind: Literal["images"] = "images"
    manifest: Path = Field(description="The manifest; image paths are relative to its folder.")


class ArraysSpec(Specification):
    """One .npz file with `ids`, `images` [n, h, w] or [n, h, w, c], `labels`[, `splits`]."""

    kind: Literal["arrays"] = "arrays"
    path: Path


class IdxSpec(Specification):
    """A folder of MNIST-format files, gzipped or not; t10k-* is the holdout if it is there.

    Sample IDs are `train-0`, `train-1`, … and `t10k-0`, …: the position in the files.
    """

    kind: Literal["idx"] = "idx"
    path: Path


class CifarSpec(Specification):
    """torchvision's folder of CIFAR-10 or CIFAR-100; sample IDs as for `idx`, `test-0`, …"""

    kind: Literal["cifar10", "cifar100"]
    path: Path
    download: bool = Field(default=False, description="Fetch the files if they are not there.")


class DigitsSpec(Specification):
    """scikit-learn's 1 797 handwritten digits, 8x8; sample IDs are `digit-0`, `digit-1`, …"""

    kind: Literal["digits"] = "digits"


DatasetSpec = Annotated[
    ImagesSpec | ArraysSpec | IdxSpec | CifarSpec | DigitsSpec, Field(discriminator="kind")
]


class Preprocessing(Specification):
    """How a stored image becomes the network's input.

    Pixels are scaled to [0, 1], resized to `size` x `size` (bilinear, antialiased) if they differ,
    brought to `channels` (grey is repeated; colour is weighed by ITU-R 601), then normalised by
    `(pixel - mean) / std`.
    """

    size: int = Field(ge=1, le=4096, description="Height and width of the input.")
    channels: Literal[1, 3] = 3
    mean: list[Number] = Field(
        description="As the network was trained with: one number, or one per channel; 0 for none."
    )
    std: list[Number] = Field(
        description="As the network was trained with: one number, or one per channel; 1 for none."
    )

    @model_validator(mode="after")
    def _per_channel(self) -> "Preprocessing":
        for field, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise ValueError(f"{field} needs one number, or one for each channel")
        if any(not value > 0 for value in self.std):
            raise ValueError("std must be positive")
        return self


# Policy ----------------------------------------------------------------------------------------


class AutoMethod(Specification):
    """Start at the adaptive setting and search for what forgets and costs least, within bounds."""

    method: Literal["auto"] = "auto"
    max_candidates: int = Field(default=16, ge=1, le=64, description="Settings tried, at most.")
    max_seconds: float = Field(
        default=900,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="No further setting is tried after so long.",
    )


class AdaptiveMethod(Specification):
    """Each cohort's selection is a percentile of its importance ratios (arXiv 2402.10098)."""

    method: Literal["adaptive"]


class LabelFreeMethod(Specification):
    """The adaptive rule on label-free sums (arXiv 2402.19308), which the model is enrolled with."""

    method: Literal["label_free"]


class FixedMethod(Specification):
    """The caller's selection and strength, for every cohort."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    method: Literal["fixed"]
    selection: float = Field(alias="alpha", gt=0, allow_inf_nan=False)
    strength: float = Field(default=1.0, alias="lambda", gt=0, allow_inf_nan=False)


Method = AutoMethod | AdaptiveMethod | FixedMethod | LabelFreeMethod


def _share(default: float, description: str) -> Any:
    return Field(default=default, ge=0, le=1, allow_inf_nan=False, description=description)


class Gate(Specification):
    """What a candidate may cost and must have achieved before it is published.

    Falls are of accuracy since the base, as shares: 0.02 is 2 points. Every version is computed
    from the base, so they are what all deletions together have cost.
    """

    max_retained_fall: float = _share(0.02, "Largest fall on the retained probe.")
    max_class_fall: float = _share(0.1, "Largest fall on the retained samples of one label.")
    max_holdout_fall: float = _share(
        0.01,
        "Largest fall on unseen samples of labels still retained: the damage budget. Once it is "
        "spent, retraining is advised.",
    )
    max_membership: float = Field(
        default=0.02,
        ge=0,
        le=0.5,
        allow_inf_nan=False,
        description="Distance of the loss-based attack's area from 0.5 that counts as none.",
    )
    max_excess: float = _share(
        0.02,
        "Share of unseen samples like the forgotten ones by which more may be recognised than is "
        "expected of a network that was never taught them.",
    )
    min_probe: int = Field(
        default=30,
        ge=1,
        le=1_000_000,
        description="Fewer retained, or unseen samples to compare with, decide nothing.",
    )
    max_forgotten_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="Largest share of the training samples that may be forgotten in all.",
    )
    on_shortfall: Literal["review", "best_effort"] = Field(
        default="review",
        description="What to do if nothing within the bounds is seen to forget enough: ask a "
        "person, or publish what comes nearest, its samples marked as weakened.",
    )


class Policy(Specification):
    """How deletions of a registered model are carried out and judged."""

    method: Annotated[Method, Field(discriminator="method")] = AutoMethod()
    gate: Gate = Gate()
    probe_size: int = Field(
        default=1000,
        ge=10,
        le=1_000_000,
        description="Samples of each probe, stratified: retained, holdout, unseen samples of the "
        "labels that are forgotten, and forgotten ones.",
    )


# Estimator -------------------------------------------------------------------------------------


class EmpiricalEstimator(Specification):
    """Squared gradients of the cross-entropy at the true labels."""

    kind: Literal["empirical"] = "empirical"


class LabelFreeEstimator(Specification):
    """Absolute gradients of the squared norm of the outputs (arXiv 2402.19308)."""

    kind: Literal["label_free"] = "label_free"


class PredictiveEstimator(Specification):
    """Squared gradients of the cross-entropy at labels drawn from the network's prediction."""

    kind: Literal["predictive"] = "predictive"
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the draws.")


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


# The whole -------------------------------------------------------------------------------------


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
