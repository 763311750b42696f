"""Policies: what they let be forgotten."""

import pytest

from models.specifications import Gate


@pytest.mark.parametrize(
    ("share", "forgotten", "allowed"),
    [
        (0.25, 25, True),
        (0.25, 26, False),
        (0.29, 29, True),
        (0.57, 57, True),
        (0.57, 58, False),
        (1, 99, True),
        (1, 100, False),
        (1, 101, False),
    ],
)
def test_a_share_may_be_forgotten_and_never_all(
    share: float, forgotten: int, *, allowed: bool
) -> None:
    assert Gate(max_forgotten_share=share).allows(forgotten, 100) is allowed


@pytest.mark.parametrize(("before", "after"), [(3, 2), (6, 5), (8, 7), (9, 8), (100, 99)])
def test_a_damage_budget_is_spent_by_exactly_what_it_allows(before: int, after: int) -> None:
    gate = Gate(max_holdout_fall=0.01)
    assert gate.is_spent(before / 100 - after / 100)
    assert not gate.is_spent(0.0099)


def test_a_damage_budget_of_nothing_is_not_spent_while_nothing_is_lost() -> None:
    gate = Gate(max_holdout_fall=0)
    assert not gate.is_spent(0.0)
    assert not gate.is_spent(None)
    assert gate.is_spent(0.001)
