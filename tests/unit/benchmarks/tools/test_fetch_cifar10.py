"""From pictures with an image in every row to arrays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.tools.fetch_cifar10 import images, write


def _pictures(folder: Path, count: int) -> np.ndarray:
    """Two pictures of random images, as the package has them; the images."""
    found = np.random.default_rng(0).integers(0, 256, (2 * count, 32, 32, 3), dtype=np.uint8)
    for number, half in enumerate((found[:count], found[count:])):
        Image.fromarray(half.reshape(count, 1024, 3)).save(folder / f"{number}.png")
    return found


def test_images_come_out_of_the_rows_of_all_pictures_in_order(tmp_path: Path) -> None:
    expected = _pictures(tmp_path, 3)
    assert np.array_equal(images(tmp_path, ["0.png", "1.png"]), expected)


def test_pictures_of_something_else_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        Image.new("RGB", (1024, 10)).save(tmp_path / f"{name}.png")
    for part in ("train", "test"):
        (tmp_path / f"{part}_lables.json").write_text("[0, 1, 2]")
    with pytest.raises(ValueError, match="does not hold CIFAR-10"):
        write(tmp_path, tmp_path / "cifar10.npz")
    assert not (tmp_path / "cifar10.npz").exists()
