"""Resizing, channels and normalisation, against numbers worked out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.specifications import Preprocessing
from workers.datasets.preprocessing import prepare


def test_an_image_that_fits_is_only_normalised():
    image = torch.rand(3, 4, 4)
    preprocessing = Preprocessing(size=4, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    prepared = prepare(image, preprocessing)
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.6), (0.3, 0.7)]):
        torch.testing.assert_close(prepared[channel], (image[channel] - mean) / std)


def test_one_mean_serves_all_channels():
    prepared = prepare(torch.ones(3, 2, 2), Preprocessing(size=2, mean=[0.5], std=[0.25]))
    assert torch.equal(prepared, torch.full((3, 2, 2), 2.0))


def test_grey_is_repeated():
    image = torch.rand(1, 5, 5)
    assert torch.equal(
        prepare(image, Preprocessing(size=5, mean=[0], std=[1])), image.repeat(3, 1, 1)
    )


def test_colour_is_weighed_by_its_luma():
    pure = torch.eye(3).view(3, 1, 3).expand(3, 3, 3)
    grey = prepare(pure, Preprocessing(size=3, channels=1, mean=[0], std=[1]))
    torch.testing.assert_close(grey[0, 0], torch.tensor([0.299, 0.587, 0.114]))


def test_a_smaller_image_averages_its_pixels():
    board = (torch.arange(64).view(8, 8) + torch.arange(8).view(8, 1)).remainder(2).float()
    shrunk = prepare(board[None], Preprocessing(size=2, channels=1, mean=[0], std=[1]))
    # Without antialiasing a chequerboard would come out black or white.
    assert ((shrunk > 0.3) & (shrunk < 0.7)).all()


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.integers(1, 40),
    stored=st.sampled_from([1, 3]),
    channels=st.sampled_from([1, 3]),
)
def test_every_image_gets_the_inputs_shape_and_an_even_one_keeps_its_value(
    height: int, width: int, size: int, stored: int, channels: int
):
    image = torch.full((stored, height, width), 0.25)
    prepared = prepare(image, Preprocessing(size=size, channels=channels, mean=[0], std=[1]))
    assert prepared.dtype == torch.float32
    torch.testing.assert_close(prepared, torch.full((channels, size, size), 0.25))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_stored_image_is_left_alone(channels: int):
    image = torch.rand(channels, 4, 4)
    before = image.clone()
    prepare(image, Preprocessing(size=4, channels=channels, mean=[0], std=[1])).zero_()
    assert torch.equal(image, before)
