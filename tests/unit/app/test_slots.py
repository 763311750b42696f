"""How places are shared out."""

from contextlib import ExitStack

import pytest

from app.slots import Slots
from models.errors import TooBusy
from models.keys import key_entry
from models.settings import Scope, Settings


def slots(limit: int, keys: int) -> Slots:
    """As a gateway with so many API keys has them."""
    entries = [key_entry(f"key-{n}", f"secret-{n}", frozenset({Scope.ADMIN})) for n in range(keys)]
    return Slots.between_keys(limit, "things", Settings(api_keys=entries))


def taken_by(holder: str, places: Slots, held: ExitStack) -> int:
    """How many the holder gets when it takes all that it can."""
    count = 0
    while True:
        try:
            held.enter_context(places.slot(holder))
        except TooBusy:
            return count
        count += 1


@pytest.mark.parametrize(
    ("limit", "keys", "share"),
    [(1, 1, 1), (1, 2, 1), (2, 1, 2), (2, 2, 1), (4, 2, 3), (200, 3, 150), (256, 1, 256)],
)
def test_one_of_several_keys_leaves_a_quarter_to_the_others(
    limit: int, keys: int, share: int
) -> None:
    places = slots(limit, keys)
    with ExitStack() as held:
        assert taken_by("one", places, held) == share
        assert taken_by("two", places, held) == limit - share
        assert taken_by("one", places, held) == 0
    with ExitStack() as held:
        assert taken_by("two", places, held) == share


def test_a_key_that_is_being_rotated_is_one() -> None:
    entries = [key_entry("one", secret, frozenset({Scope.ADMIN})) for secret in ("old", "new")]
    places = Slots.between_keys(4, "things", Settings(api_keys=entries))
    with ExitStack() as held:
        assert taken_by("one", places, held) == 4


def test_who_has_its_share_is_told_so_and_who_finds_none_left_is_told_that() -> None:
    places = slots(2, 2)
    with places.slot("one"):
        with pytest.raises(TooBusy, match="1 things with this API key are under way"):
            places.slot("one").__enter__()
        with places.slot("two"), pytest.raises(TooBusy, match="2 things are under way"):
            places.slot("three").__enter__()


def test_a_place_is_free_again_whatever_became_of_what_had_it() -> None:
    places = slots(1, 1)
    with pytest.raises(ValueError, match="wrong"), places.slot("one"):
        raise ValueError("wrong")
    with ExitStack() as held:
        assert taken_by("one", places, held) == 1
