"""API keys: the secret leaves once, its digest stays."""

import hashlib

import pytest
from pydantic import ValidationError

from models.journal import REPLAYING
from models.keys import key_entry, make_key
from models.settings import Scope


def test_a_new_key_is_known_by_its_digest_alone() -> None:
    secret, entry = make_key("ops", frozenset({Scope.ADMIN}))
    assert len(secret) >= 43
    assert entry.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert entry == key_entry("ops", secret, frozenset({Scope.ADMIN}))
    assert secret not in entry.model_dump_json()


def test_no_two_keys_are_the_same() -> None:
    assert len({make_key("ops", frozenset())[0] for _ in range(100)}) == 100


@pytest.mark.parametrize("name", ["", "Ops", "a b", "-a", "a" * 64, "a\n"])
def test_a_name_that_would_not_read_well_in_a_log_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        make_key(name, frozenset())


def test_a_key_with_the_name_of_who_asks_again_for_what_was_lost_is_not_made() -> None:
    assert REPLAYING == "restore"
    with pytest.raises(ValidationError, match="cannot be called"):
        make_key(REPLAYING, frozenset({Scope.REQUESTS}))
