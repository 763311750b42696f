"""How many samples are looked at."""

import pytest

from workers.judging.probes import WHOLE_PROBES, size_of_one


@pytest.mark.parametrize("cohorts", [1, WHOLE_PROBES])
def test_each_of_a_few_cohorts_has_a_whole_probe(cohorts: int) -> None:
    assert size_of_one(cohorts, 1000, 30) == 1000


@pytest.mark.parametrize(("cohorts", "size"), [(5, 800), (100, 40), (133, 30)])
def test_more_of_them_share_as_many(cohorts: int, size: int) -> None:
    assert size_of_one(cohorts, 1000, 30) == size


@pytest.mark.parametrize("cohorts", [134, 1000, 100_000])
def test_of_each_of_very_many_there_are_as_many_as_decide(cohorts: int) -> None:
    assert size_of_one(cohorts, 1000, 30) == 30


@pytest.mark.parametrize(("least", "size"), [(1, 1), (50, 50), (2000, 1000)])
def test_but_never_more_than_a_probe_has(least: int, size: int) -> None:
    assert size_of_one(10_000, 1000, least) == size
