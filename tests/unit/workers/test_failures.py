"""Failures as they are kept: what somebody can act on, and nothing that may be personal."""

import errno
import os

from models.errors import LeaseLost
from workers.failures import Failure, describe


def test_an_error_with_a_name_is_told_in_its_own_words() -> None:
    assert describe(LeaseLost("Another one has it.")) == Failure(
        "lease-lost", "Another one has it."
    )


def test_of_a_disk_only_what_is_wrong_with_it_is_told() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/person-1.png")
    assert describe(error).kind == "io-error"
    assert "person-1" not in describe(error).detail


def test_of_what_nobody_foresaw_the_place_is_told_and_not_the_message() -> None:
    try:
        raise ValueError("person-1")
    except ValueError as error:
        found = describe(error)
    assert found.kind == "internal-error"
    assert "ValueError in test_of_what_nobody_foresaw" in found.detail
    assert "person-1" not in found.detail


def test_it_is_kept_as_an_object_of_both() -> None:
    assert Failure("io-error", "Full.").as_json() == {"kind": "io-error", "detail": "Full."}
