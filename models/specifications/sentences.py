"""What is wrong with a declaration, in words for whoever made it.

What was given is not repeated: it may be large, personal or a secret.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

MOST = 5
# What validators say before what our own checks say.
PREFIX = "Value error, "
_BY_TYPE = {
    "union_tag_not_found": "name the kind as well ({discriminator}): it is replaced whole",
    "extra_forbidden": "there is no such field",
}


def sentences(error: ValidationError) -> str:
    """What is wrong, field by field."""
    found = error.errors()[:MOST]
    return "; ".join(": ".join(filter(None, (_place(item), violation(item)))) for item in found)


def _place(item: Mapping[str, Any]) -> str:
    """The field; nothing if it is about several."""
    return ".".join(map(str, item["loc"]))


def violation(item: Mapping[str, Any]) -> str:
    """What is wrong with one field, by an item of `ValidationError.errors()`."""
    ours = _BY_TYPE.get(item["type"])
    if ours is None:
        return str(item["msg"]).removeprefix(PREFIX)
    return ours.format(**item.get("ctx", {}))
