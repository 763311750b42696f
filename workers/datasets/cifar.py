"""CIFAR-10 and CIFAR-100 in torchvision's folder, checked by torchvision's MD5 sums."""

import numpy as np

from models.errors import DatasetUnreadable
from models.records.states import Split
from models.specifications import CifarSpec
from workers.datasets.pixels import PixelArrays
from workers.datasets.source import ImageSource, SampleIndex, expanded


def open_cifar(spec: CifarSpec) -> ImageSource:
    """The 50 000 training images, then the 10 000 test images as the holdout.

    Raises:
        DatasetUnreadable: the files are not there or damaged, or cannot be downloaded.

    """
    # Whoever has other data need not wait for it.
    from torchvision.datasets import CIFAR10, CIFAR100

    kinds = {"cifar10": CIFAR10, "cifar100": CIFAR100}
    folder = expanded(spec.path)
    try:
        train, test = (
            kinds[spec.kind](folder, train=part, download=spec.download) for part in (True, False)
        )
    # torchvision raises RuntimeError for files that are absent or fail their MD5 sum.
    except (RuntimeError, OSError) as error:
        reason = (
            f"the download failed: {error}"
            if spec.download
            else "its files are not all there, or are damaged. Put them there, or allow download."
        )
        raise DatasetUnreadable(f"{folder} does not hold {spec.kind}: {reason}") from error
    samples = SampleIndex(
        sample_ids=[
            *(f"train-{position}" for position in range(len(train))),
            *(f"test-{position}" for position in range(len(test))),
        ],
        labels=np.array([*train.targets, *test.targets], dtype=np.int64),
        splits=[Split.TRAIN] * len(train) + [Split.HOLDOUT] * len(test),
    )
    return PixelArrays(str(folder), samples, [train.data, test.data], brightest=255)
