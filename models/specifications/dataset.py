"""Where the samples are, one class for each kind of source, and how a holdout is drawn."""

from typing import Annotated, Literal

from pydantic import Field

from models.specifications.base import Integer, Number, Path, Specification


class HoldoutSpec(Specification):
    """How to draw a holdout where the dataset does not declare one."""

    fraction: Number = Field(default=0.1, gt=0, lt=1, description="Share of each label kept aside.")
    seed: Integer = Field(default=0, ge=0, lt=2**63, description="Seed of the draw.")


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
