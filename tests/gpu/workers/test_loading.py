"""From a file of images to the GPU, read by this process and by others."""

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


def _dataset(folder: Path, *, unreadable: int | None = None) -> Dataset:
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


def _shuffled() -> list[tuple[int, int]]:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0)).tolist()
    return [(position, position % 10) for position in order]


@pytest.mark.parametrize("loaders", [0, 2])
def test_samples_that_are_read_ahead_arrive_in_order_and_unmixed(
    device: torch.device, tmp_path: Path, loaders: int
) -> None:
    dataset, samples = _dataset(tmp_path), _shuffled()
    arrived = list(load_ahead(dataset, samples, device, loaders=loaders))
    assert [len(batch) for batch in arrived] == [BATCH] * 5
    assert {batch.inputs.device.type for batch in arrived} == {device.type}
    found = joined(arrived)
    assert list(zip(found.positions.tolist(), found.labels.tolist(), strict=True)) == samples
    assert torch.equal(found.inputs.cpu(), dataset.load([position for position, _ in samples]))


@pytest.mark.parametrize("loaders", [0, 2])
def test_an_image_that_cannot_be_read_is_named_by_its_position(
    device: torch.device, tmp_path: Path, loaders: int
) -> None:
    dataset = _dataset(tmp_path, unreadable=77)
    with pytest.raises(SampleUnreadable) as caught:
        list(load_ahead(dataset, _shuffled(), device, loaders=loaders))
    assert caught.value.position == 77
