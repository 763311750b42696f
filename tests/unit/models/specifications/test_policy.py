"""Policies: what they let be forgotten."""

import pytest

from models.specifications import Gate


@pytest.mark.parametrize(
    ("share", "forgotten", "allowed"),
    [(0.25, 25, True), (0.25, 26, False), (1, 99, True), (1, 100, False), (1, 101, False)],
)
def test_a_share_may_be_forgotten_and_never_all(
    share: float, forgotten: int, *, allowed: bool
) -> None:
    assert Gate(max_forgotten_share=share).allows(forgotten, 100) is allowed
