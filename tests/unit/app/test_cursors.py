"""Cursors: what was given comes back, and everything else is refused."""

import pytest

from app import cursors
from models.errors import InvalidCursor


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, -(2**63)])
def test_a_position_comes_back_as_it_was_given(number: int) -> None:
    assert cursors.decode(cursors.encode([number, "x"]), int, str) == [number, "x"]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**40])
def test_a_number_that_no_table_can_hold_is_refused(number: int) -> None:
    with pytest.raises(InvalidCursor):
        cursors.decode(cursors.encode([number]), int)


@pytest.mark.parametrize("position", [[], ["1"], [1, 2], [True], [1.0], [None]])
def test_a_position_of_another_form_is_refused(position: cursors.Position) -> None:
    with pytest.raises(InvalidCursor):
        cursors.decode(cursors.encode(position), int)
