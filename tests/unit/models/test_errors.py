"""Every error's kind is stable, its own, and in kebab-case."""

import re

import pytest

from models import errors
from models.errors import ExpungeError

CLASSES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, ExpungeError)
]


def _kind(error_class: type[ExpungeError]) -> str:
    return error_class.__new__(error_class).kind


def test_no_two_errors_share_a_kind() -> None:
    kinds = [_kind(each) for each in CLASSES]
    assert len(kinds) > 30
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("error_class", CLASSES)
def test_a_kind_is_the_name_in_kebab_case(error_class: type[ExpungeError]) -> None:
    kind = _kind(error_class)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind)
    assert kind.replace("-", "") == error_class.__name__.lower()


@pytest.mark.parametrize("error_class", CLASSES)
def test_an_error_says_what_happened(error_class: type[ExpungeError]) -> None:
    assert (error_class.__doc__ or "").strip().endswith((".", "kebab-case, e.g. `unknown-model`."))


def test_known_kinds_have_not_changed() -> None:
    assert errors.UnknownModel("").kind == "unknown-model"
    assert errors.InvalidSampleId("").kind == "invalid-sample-id"
    assert errors.SampleUnreadable("", 0).kind == "sample-unreadable"
