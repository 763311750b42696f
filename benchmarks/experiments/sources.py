"""The datasets: where their images are, what they look like, and which labels belong together.

A superclass merges labels that look alike, as CIFAR-100's own twenty do. A network that is trained
on superclasses and forgets one label of them is the published sub-class task.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.specifications import ArraysSpec, CifarSpec, DatasetSpec, IdxSpec


@dataclass(frozen=True)
class Source:
    """One dataset. `superclasses` has the superclass of every label; pixels are in [0, 1]."""

    spec: Callable[[Path], DatasetSpec]
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    superclasses: tuple[int, ...]

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return len(self.superclasses)


def _cifar10(place: Path) -> DatasetSpec:
    """A file of arrays, as it is fetched, or torchvision's folder."""
    if place.is_file():
        return ArraysSpec(path=str(place))
    return CifarSpec(kind="cifar10", path=str(place))


# Tops (T-shirt, shirt), long (trousers, dress), over (pullover, coat), light shoes (sandal,
# sneaker), leather (bag, ankle boot); labels in the dataset's order.
FASHION_MNIST_SUPERCLASSES = (0, 1, 2, 1, 2, 3, 0, 3, 4, 4)

# Craft (aeroplane, ship), motor vehicles (automobile, lorry), small wild animals (bird, frog), pets
# (cat, dog), hoofed (deer, horse).
CIFAR10_SUPERCLASSES = (0, 1, 2, 3, 4, 3, 2, 4, 0, 1)

# The dataset's own coarse labels: five of its hundred labels in each.
CIFAR100_SUPERCLASSES = (
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11),
    *(6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5),
    *(5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17),
    *(10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13),
    *(16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
)

SOURCES: Mapping[str, Source] = {
    "fashion-mnist": Source(
        lambda folder: IdxSpec(path=str(folder)),
        channels=1,
        size=28,
        mean=(0.286,),
        std=(0.353,),
        superclasses=FASHION_MNIST_SUPERCLASSES,
    ),
    "cifar10": Source(
        _cifar10,
        channels=3,
        size=32,
        mean=(0.491, 0.482, 0.447),
        std=(0.247, 0.243, 0.262),
        superclasses=CIFAR10_SUPERCLASSES,
    ),
    "cifar100": Source(
        lambda folder: CifarSpec(kind="cifar100", path=str(folder)),
        channels=3,
        size=32,
        mean=(0.507, 0.487, 0.441),
        std=(0.267, 0.256, 0.276),
        superclasses=CIFAR100_SUPERCLASSES,
    ),
}
