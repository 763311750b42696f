"""Where Fashion-MNIST lies, in idx format; `benchmarks/fetch_fashion_mnist` puts it there."""

from pathlib import Path

PLACES = (
    Path("/usr/share/datasets/fashion-mnist"),
    Path(".data/usr/share/datasets/fashion-mnist"),
)


def find() -> Path | None:
    """The first place that exists."""
    return next((place for place in PLACES if place.exists()), None)
