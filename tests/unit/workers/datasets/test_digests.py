"""Digests of images: what they are of, in which order, and which images are other ones."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import DatasetUnreadable, SampleUnreadable
from models.specifications import ArraysSpec, DatasetSpec, ImagesSpec, Preprocessing
from workers.datasets import Dataset, open_dataset
from workers.datasets.digests import DIGEST_BYTES, PIECE, digest_images
from workers.datasets.source import READERS

GREY = Preprocessing(size=4, channels=1, mean=[0], std=[1])


def arrays(folder: Path, images: np.ndarray) -> ArraysSpec:
    count = len(images)
    ids, labels = np.arange(count), np.zeros(count, np.int64)
    np.savez(folder / "data.npz", ids=ids, images=images, labels=labels)
    return ArraysSpec(path=str(folder / "data.npz"))


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4), np.uint8)


def digested(spec: DatasetSpec, count: int) -> Dataset:
    source = open_dataset(spec, GREY).source
    return open_dataset(spec, GREY, digests=digest_images(source, count, lambda: None))


@pytest.mark.parametrize(
    "count", [0, 1, PIECE - 1, PIECE + 1, PIECE * READERS, PIECE * READERS * 2 + PIECE + 3]
)
def test_digests_are_those_of_what_is_stored_in_the_order_of_the_dataset(
    tmp_path: Path, count: int
):
    images = noise(count)
    source = open_dataset(arrays(tmp_path, images), GREY).source
    found = digest_images(source, count, lambda: None)
    assert found.shape == (count, DIGEST_BYTES)
    for digest, image in zip(found, images, strict=True):
        one = hashlib.blake2b(image.tobytes(), digest_size=DIGEST_BYTES).digest()
        assert bytes(digest.tolist()) == one


def test_digests_of_files_are_of_their_bytes(tmp_path: Path):
    Image.fromarray(noise(1)[0]).save(tmp_path / "x.png")
    (tmp_path / "m.csv").write_text("sample_id,path,label\na,x.png,0\n")
    source = open_dataset(ImagesSpec(manifest=str(tmp_path / "m.csv")), GREY).source
    (digest,) = digest_images(source, 1, lambda: None)
    content = (tmp_path / "x.png").read_bytes()
    assert bytes(digest.tolist()) == hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "m.csv").write_text("sample_id,path,label\na,gone.png,0\n")
    source = open_dataset(ImagesSpec(manifest=str(tmp_path / "m.csv")), GREY).source
    with pytest.raises(DatasetUnreadable, match=r"gone\.png, the image at position 0"):
        digest_images(source, 1, lambda: None)


def test_whoever_has_to_stop_is_asked_again_and_again(tmp_path: Path):
    asked = []

    def go_on() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    count = PIECE * READERS * 5
    with pytest.raises(KeyboardInterrupt):
        digest_images(open_dataset(arrays(tmp_path, noise(count)), GREY).source, count, go_on)
    assert len(asked) == 3


def test_the_images_that_were_digested_are_loaded_as_ever(tmp_path: Path):
    spec = arrays(tmp_path, noise(5))
    assert torch.equal(digested(spec, 5).load([3, 0]), open_dataset(spec, GREY).load([3, 0]))


def test_one_other_pixel_makes_another_image_and_no_other_sample_suffers(tmp_path: Path):
    images = noise(5)
    dataset = digested(arrays(tmp_path, images), 5)
    images[3, 2, 1] ^= 1
    later = replace(open_dataset(arrays(tmp_path, images), GREY), digests=dataset.digests)
    assert later.load([0, 1, 2, 4]).shape[0] == 4
    with pytest.raises(SampleUnreadable, match="not the one that was enrolled") as caught:
        later.load([0, 3])
    assert caught.value.position == 3


def test_another_image_is_noticed_where_a_process_of_its_own_decodes(tmp_path: Path):
    first, other = noise(2)
    Image.fromarray(first).save(tmp_path / "x.png")
    (tmp_path / "m.csv").write_text("sample_id,path,label\na,x.png,0\n")
    dataset = digested(ImagesSpec(manifest=str(tmp_path / "m.csv")), 1)
    assert dataset.load([0]).shape == (1, 1, 4, 4)
    Image.fromarray(other).save(tmp_path / "x.png")
    with pytest.raises(SampleUnreadable, match="position 0 is not the one that was enrolled"):
        dataset.load([0])
