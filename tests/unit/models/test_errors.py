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


def test_no_two_errors_share_a_kind() -> None:
    kinds = [each.kind for each in CLASSES]
    assert len(kinds) > 30
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("error_class", CLASSES)
def test_a_kind_is_the_name_in_kebab_case(error_class: type[ExpungeError]) -> None:
    kind = error_class.kind
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind)
    assert kind.replace("-", "") == error_class.__name__.lower()


@pytest.mark.parametrize("error_class", CLASSES)
def test_an_error_says_what_happened(error_class: type[ExpungeError]) -> None:
    assert (error_class.__doc__ or "").strip().endswith(".")


def test_known_kinds_have_not_changed() -> None:
    assert errors.UnknownModel("").kind == "unknown-model"
    assert errors.InvalidSampleId("").kind == "invalid-sample-id"
    assert errors.SampleUnreadable("", 0).kind == "sample-unreadable"


def test_what_a_process_of_an_enrolment_has_found_keeps_its_kind() -> None:
    assert errors.RankRefused("weights-mismatch", "").kind == "weights-mismatch"
    assert errors.RankRefused.kind == "rank-refused"
