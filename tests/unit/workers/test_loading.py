"""From a file of images to batches, piece by piece, read by this process and by others."""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import DatasetUnreadable, ReaderDied, SampleUnreadable
from models.specifications import ArraysSpec, ImagesSpec, Preprocessing
from workers.datasets import Dataset, open_dataset
from workers.loading import dead_readers_named, load_ahead
from workers.unlearning.batches import Batch, joined
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
def test_images_that_are_decoded_elsewhere_are_read_ahead_too(tmp_path: Path, loaders: int) -> None:
    rows = ["sample_id,path,label"]
    for position in range(5):
        pixels = np.full((8, 8), 40 * position, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{position}.png")
        rows.append(f"s-{position},{position}.png,{position}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    dataset = open_dataset(
        ImagesSpec(manifest=str(tmp_path / "manifest.csv")),
        Preprocessing(size=8, channels=1, mean=[0], std=[1]),
    )
    assert dataset.reader is not None
    pieces = [[(3, 3), (1, 1)], [(4, 4)]]
    found = load_ahead(dataset, pieces, torch.device("cpu"), loaders=loaders)
    values = [[each.inputs[:, 0, 0, 0].tolist() for each in batches] for batches in found]
    assert values == [[pytest.approx([120 / 255, 40 / 255])], [pytest.approx([160 / 255])]]


def kill_and_take(reader: BaseProcess, arriving: Iterator[Iterator[Batch]]) -> None:
    """End the process, and then take what it has read ahead, and what it has not.

    PyTorch says that it has ended as soon as the system does, here or while batches are taken.
    """
    reader.kill()
    reader.join()
    for batches in arriving:
        list(batches)


def test_that_a_process_that_reads_has_died_is_said_in_a_sentence(tmp_path: Path) -> None:
    # More than it has read ahead by the time it dies.
    pieces = [shuffled()] * 20
    # Of tests before this one.
    others = multiprocessing.active_children()
    arriving = load_ahead(dataset_of(tmp_path), pieces, torch.device("cpu"), loaders=1)
    next(next(arriving))
    (reader,) = set(multiprocessing.active_children()).difference(others)
    with pytest.raises(ReaderDied, match="EXPUNGE_LOADERS"), dead_readers_named():
        kill_and_take(reader, arriving)


@pytest.mark.parametrize("loaders", [0, 1])
def test_that_a_dataset_is_not_what_it_was_is_said_in_its_own_words(
    tmp_path: Path, loaders: int
) -> None:
    manifest, image = tmp_path / "manifest.csv", tmp_path / "one.png"
    manifest.write_text("sample_id,path,label\none,one.png,0\n")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    spec = ImagesSpec(manifest=str(manifest))
    dataset = open_dataset(spec, Preprocessing(size=8, channels=1, mean=[0], std=[1]))
    for path in (manifest, image):
        path.unlink()
    (batches,) = load_ahead(dataset, [[(0, 0)]], torch.device("cpu"), loaders=loaders)
    with pytest.raises(DatasetUnreadable) as caught:
        list(batches)
    assert str(caught.value).startswith(f"{tmp_path} cannot be read at the moment: ")


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
