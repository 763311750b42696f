"""Opaque cursors: where a page ended, as text that clients pass back and do not read."""

import base64
import binascii
import json

from models.errors import InvalidCursor

Position = list[str | int]
# What PostgreSQL can hold, and so everything that such a list is sorted by.
NUMBERS = range(-(1 << 63), 1 << 63)


def encode(position: Position) -> str:
    """A cursor for the entry after `position`."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type[str] | type[int]) -> Position:
    """The position in a cursor, or `InvalidCursor`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.urlsafe_b64decode(padded.encode()))
    except (binascii.Error, ValueError) as error:
        raise invalid() from error
    if not isinstance(position, list) or [type(part) for part in position] != list(kinds):
        raise invalid()
    if any(isinstance(part, int) and part not in NUMBERS for part in position):
        raise invalid()
    return position


def invalid() -> InvalidCursor:
    """The one thing there is to say of a cursor that is not ours."""
    return InvalidCursor("The cursor is not one of this list. Start again without it.")
