"""Image files: how PNG and JPEG become tensors, and what cannot be read."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import DatasetUnreadable, SampleUnreadable
from models.specifications import ImagesSpec
from workers.datasets import images
from workers.datasets.images import MOST_BYTES, open_images


def save(path: Path, pixels, mode: str | None = None) -> None:
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path)


def manifest(folder: Path, text: str) -> ImagesSpec:
    path = folder / "manifest.csv"
    path.write_text(text)
    return ImagesSpec(manifest=str(path))


def one_image(folder: Path, name: str):
    return open_images(manifest(folder, f"sample_id,path,label\na,{name},0\n"))


def test_a_grey_png_is_one_channel_in_zero_to_one(tmp_path: Path):
    save(tmp_path / "x.png", np.array([[0, 51], [102, 255]], np.uint8))
    image = one_image(tmp_path, "x.png").stored(0).decode()
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, torch.tensor([[[0.0, 0.2], [0.4, 1.0]]]))


def test_a_colour_png_is_three_planes(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    save(tmp_path / "x.png", pixels)
    image = one_image(tmp_path, "x.png").stored(0).decode()
    assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1) / 255)


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path):
    save(tmp_path / "x.png", np.array([[0, 13107, 65535]], np.uint16))
    image = one_image(tmp_path, "x.png").stored(0).decode()
    torch.testing.assert_close(image, torch.tensor([[[0.0, 0.2, 1.0]]]))


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("LA", 1), ("P", 3), ("RGBA", 3)])
def test_other_modes_become_grey_or_colour(tmp_path: Path, mode: str, channels: int):
    save(tmp_path / "x.png", np.full((4, 6, 3), 255, np.uint8), mode)
    assert torch.equal(one_image(tmp_path, "x.png").stored(0).decode(), torch.ones(channels, 4, 6))


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_jpeg_is_decoded_to_colour(tmp_path: Path, mode: str):
    save(tmp_path / "x.jpg", np.full((8, 8, 3), 128, np.uint8), mode)
    image = one_image(tmp_path, "x.jpg").stored(0).decode()
    torch.testing.assert_close(image, torch.full((3, 8, 8), 128 / 255), atol=0.02, rtol=0)


def test_paths_are_relative_to_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data" / "a").mkdir(parents=True)
    save(tmp_path / "data" / "a" / "x.png", np.zeros((2, 2), np.uint8))
    (tmp_path / "data" / "m.csv").write_text("sample_id,path,label\ns,a/x.png,0\n")
    monkeypatch.chdir(tmp_path)
    source = open_images(ImagesSpec(manifest="data/m.csv"))
    assert source.missing() == []
    assert source.stored(0).decode().shape == (1, 2, 2)


def test_missing_files_are_listed_in_the_manifests_order(tmp_path: Path):
    save(tmp_path / "x.png", np.zeros((2, 2), np.uint8))
    text = "sample_id,path,label\na,z.png,0\nb,x.png,0\nc,,0\nd,y.png,0\n"
    assert open_images(manifest(tmp_path, text)).missing() == ["z.png", "", "y.png"]


@pytest.mark.parametrize("count", [1, 3, 4, 10])
def test_many_files_are_looked_for_in_pieces_and_listed_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
):
    monkeypatch.setattr(images, "PIECE", 3)
    rows = "".join(f"s{row},../{row}.png,0\n" for row in range(count))
    source = open_images(manifest(tmp_path, f"sample_id,path,label\n{rows}")).confined(tmp_path)
    named = [f"../{row}.png" for row in range(count)]
    assert source.missing() == named
    assert source.outside() == named


def test_a_missing_image_is_named(tmp_path: Path):
    source = one_image(tmp_path, "gone.png")
    with pytest.raises(SampleUnreadable, match=r"gone\.png, the image at position 0") as caught:
        source.stored(0).decode()
    assert caught.value.position == 0
    assert str(tmp_path) not in str(caught.value)


def test_a_truncated_image_is_unreadable(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name in ("x.png", "x.jpg"):
        save(tmp_path / name, noise)
        whole = (tmp_path / name).read_bytes()
        for length in (0, 7, 40, len(whole) // 2):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(SampleUnreadable, match=name):
                one_image(tmp_path, name).stored(0).decode()


def test_a_file_that_is_neither_png_nor_jpeg_is_unreadable(tmp_path: Path):
    Image.new("L", (4, 4)).save(tmp_path / "x.png", format="GIF")
    with pytest.raises(SampleUnreadable, match=r"x\.png"):
        one_image(tmp_path, "x.png").stored(0).decode()


@pytest.mark.parametrize("position", [-1, 1])
def test_a_position_outside_the_manifest_is_unreadable(tmp_path: Path, position: int):
    save(tmp_path / "x.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(SampleUnreadable, match=f"no row {position}"):
        one_image(tmp_path, "x.png").stored(position).decode()


def test_a_process_with_too_much_open_says_nothing_about_an_image(tmp_path: Path):
    save(tmp_path / "x.png", np.zeros((2, 2), np.uint8))
    images = one_image(tmp_path, "x.png")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(DatasetUnreadable, match="cannot be read at the moment"):
            images.stored(0).decode()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert images.stored(0).decode().shape == (1, 2, 2)


def test_a_folder_that_is_gone_says_nothing_about_an_image(tmp_path: Path):
    save(tmp_path / "x.png", np.zeros((2, 2), np.uint8))
    images = one_image(tmp_path, "x.png")
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(DatasetUnreadable, match="cannot be read at the moment"):
        images.stored(0).decode()


def test_what_is_no_image_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "x.png").write_text("GIF89a")
    with pytest.raises(SampleUnreadable, match=r"x\.png, .*: it is neither PNG nor JPEG$"):
        one_image(tmp_path, "x.png").stored(0).decode()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(SampleUnreadable, match=r"x\.png, .*: it is no file$"):
        one_image(tmp_path, "x.png").stored(0)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path):
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(SampleUnreadable, match=r"more than 128 MiB"):
        one_image(tmp_path, "x.png").stored(0)
