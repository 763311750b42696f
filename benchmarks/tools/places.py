"""Where the datasets lie that are fetched for the benchmarks.

`make data` fetches Fashion-MNIST, in idx format, and `make data-cifar10` CIFAR-10.
"""

from collections.abc import Mapping
from pathlib import Path

CIFAR10 = Path(".data/cifar10.npz")
PLACES: Mapping[str, tuple[Path, ...]] = {
    "fashion-mnist": (
        Path("/usr/share/datasets/fashion-mnist"),
        Path(".data/usr/share/datasets/fashion-mnist"),
    ),
    "cifar10": (CIFAR10,),
    "cifar100": (),
}
# For whoever does not have it.
HOW: Mapping[str, str] = {
    "fashion-mnist": "`make data` fetches it.",
    "cifar10": "`make data-cifar10` fetches it, or --folder says where it lies in torchvision's "
    "format.",
    "cifar100": "--folder says where it lies in torchvision's format.",
}


def find(dataset: str) -> Path | None:
    """The first place that exists."""
    return next((place for place in PLACES[dataset] if place.exists()), None)
