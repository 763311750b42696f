"""From a file of images to batches, piece by piece, read by this process and by others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import SampleUnreadable
from models.specifications import ArraysSpec, Preprocessing
from workers.datasets import Dataset, open_dataset
from workers.loading import load_ahead
from workers.unlearning.batches import joined
from workers.unlearning.importances import BATCH

COUNT = 5 * BATCH


def dataset_of(folder: Path, *, unreadable: int | None = None) -> Dataset:
    """Images that all differ; of one, perhaps, a pixel is no number."""
    images = np.random.default_rng(0).random((COUNT, 16, 16)).astype(np.float32)
    if unreadable is not None:
        images[unreadable, 3, 3] = np.nan
    path = folder / "data.npz"
    ids = np.arange(COUNT)
    np.savez(path, ids=ids, images=images, labels=ids % 10)
    return open_dataset(
        ArraysSpec(path=str(path)), Preprocessing(size=16, channels=1, mean=[0.3], std=[0.5])
    )


def shuffled() -> list[tuple[int, int]]:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0)).tolist()
    return [(position, position % 10) for position in order]


def require_in_order(folder: Path, device: torch.device, loaders: int) -> None:
    """Every piece has its own batches, and all samples are right."""
    dataset, samples = dataset_of(folder), shuffled()
    # One that ends in the middle of a batch, none, a single sample, and the rest.
    pieces = [samples[: BATCH + 10], [], samples[BATCH + 10 : BATCH + 11], samples[BATCH + 11 :]]
    lengths, arrived = [], []
    for batches in load_ahead(dataset, pieces, device, loaders=loaders):
        of_piece = list(batches)
        lengths.append([len(batch) for batch in of_piece])
        arrived += of_piece
    rest = COUNT - BATCH - 11
    assert lengths == [[BATCH, 10], [], [1], [BATCH] * (rest // BATCH) + [rest % BATCH]]
    assert {batch.inputs.device.type for batch in arrived} == {device.type}
    found = joined(arrived)
    assert list(zip(found.positions.tolist(), found.labels.tolist(), strict=True)) == samples
    assert torch.equal(found.inputs.cpu(), dataset.load([position for position, _ in samples]))


def require_named(folder: Path, device: torch.device, loaders: int) -> None:
    """An image that cannot be read is named by its position."""
    dataset = dataset_of(folder, unreadable=77)
    (batches,) = load_ahead(dataset, [shuffled()], device, loaders=loaders)
    with pytest.raises(SampleUnreadable) as caught:
        list(batches)
    assert caught.value.position == 77


@pytest.mark.parametrize("loaders", [0, 2])
def test_samples_that_are_read_ahead_arrive_in_order_and_unmixed(
    tmp_path: Path, loaders: int
) -> None:
    require_in_order(tmp_path, torch.device("cpu"), loaders)


@pytest.mark.parametrize("loaders", [0, 2])
def test_an_image_that_cannot_be_read_is_named_by_its_position(
    tmp_path: Path, loaders: int
) -> None:
    require_named(tmp_path, torch.device("cpu"), loaders)
