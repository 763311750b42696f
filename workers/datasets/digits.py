"""scikit-learn's handwritten digits: 1 797 grey images of 8x8, installed with the package."""

import numpy as np

from models.specifications import DigitsSpec
from workers.datasets.pixels import PixelArrays
from workers.datasets.source import ImageSource, SampleIndex


def open_digits(_: DigitsSpec) -> ImageSource:
    """The digits; stored values go from 0 to 16, and no holdout is declared."""
    # Imported here: it takes a second, which no other dataset should pay.
    from sklearn.datasets import load_digits

    digits = load_digits()
    sample_ids = [f"digit-{position}" for position in range(len(digits.images))]
    samples = SampleIndex(sample_ids, digits.target.astype(np.int64), None)
    return PixelArrays("digits", samples, [digits.images], brightest=16)
