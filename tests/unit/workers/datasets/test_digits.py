"""scikit-learn's digits, scaled from their own range."""

import torch

from models.specifications import DigitsSpec
from workers.datasets.digits import open_digits


def test_there_are_1797_digits_without_a_declared_holdout():
    index = open_digits(DigitsSpec()).index()
    assert len(index.sample_ids) == len(index.labels) == 1797
    assert index.sample_ids[:2] == ["digit-0", "digit-1"]
    assert set(index.labels.tolist()) == set(range(10))
    assert index.splits is None


def test_pixels_fill_the_range_from_zero_to_one():
    source = open_digits(DigitsSpec())
    images = torch.stack([source.stored(position).decode() for position in range(100)])
    assert images.shape == (100, 1, 8, 8)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
