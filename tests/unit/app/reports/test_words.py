"""Figures in words."""

import pytest

from app.reports import words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.12345, "0.123"),
        (22.0, "22"),
        (12345.6, "12,346"),
        (1e300, "1e+300"),
        (2.5e9, "2.5e+09"),
        (1e-300, "1e-300"),
    ],
)
def test_a_number_of_any_size_is_short(value: float, said: str) -> None:
    assert words.number(value) == said
