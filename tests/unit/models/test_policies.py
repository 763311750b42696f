"""Merging a patch into a policy, as RFC 7396 has it."""

from models.policies import merged


def test_null_removes_what_is_there_and_is_never_kept() -> None:
    document = {"probe_size": 50, "gate": {"min_probe": 5, "max_excess": 0.1}}
    patch = {"probe_size": None, "gate": {"min_probe": None, "max_membership": None}}
    assert merged(document, patch) == {"gate": {"max_excess": 0.1}}


def test_what_is_replaced_whole_keeps_nothing_of_before_and_no_null() -> None:
    document = {"method": {"method": "auto", "max_candidates": 3}}
    patch = {"method": {"method": "fixed", "alpha": 2, "lambda": None}}
    assert merged(document, patch) == {"method": {"method": "fixed", "alpha": 2}}
