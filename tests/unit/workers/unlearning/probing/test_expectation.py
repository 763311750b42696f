"""What is expected of a network without a cohort, against counting."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import documents
from tests.unit.workers.unlearning.observations import seen
from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.expectation import Expectation, expect, expect_all
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.surrogate import Surrogate

COHORT = Cohort((0,), 40, scattered=False)
# Forgotten samples are at 0 to 39, unseen ones of their label at 100 to 139.
FORGOTTEN, UNSEEN = list(range(40)), list(range(100, 140))
PROBE = Probe({COHORT: FORGOTTEN}, UNSEEN, [], [], frozenset(), num_classes=3)

Rights = list[bool]
rights = st.lists(st.booleans(), min_size=80, max_size=80)


def network(right: Rights) -> Observed:
    """Forgotten samples and unseen ones, in an order of its own."""
    found = seen([0] * 80, right=right)
    positions = np.array([*FORGOTTEN, *UNSEEN])
    order = np.random.default_rng(0).permutation(80)
    columns = replace(found, positions=positions)
    return Observed(*(values[order] for values in vars(columns).values()))


def surrogate(whole: Rights, without: Rights, kin: frozenset[int] | None = None) -> Surrogate:
    kinds = {} if kin is None else {COHORT: kin}
    positions = np.array([*FORGOTTEN, *UNSEEN])
    return Surrogate(positions, np.array(whole), np.array(without), kinds, 0.9, 1.0)


def share(values: Rights) -> float:
    return sum(values) / len(values)


@given(rights, rights, rights, rights)
def test_it_is_what_the_base_knows_less_what_hangs_on_the_forgotten(
    base: Rights, whole: Rights, without: Rights, candidate: Rights
) -> None:
    found = expect(COHORT, network(base), PROBE, surrogate(whole, without), min_probe=30)
    assert found is not None
    assert found.on == "unseen"
    known = share(base[40:]) - (share(whole[40:]) - share(without[40:]))
    assert found.share == pytest.approx(min(1.0, max(0.0, known)))
    excess = found.excess(network(candidate))
    assert excess is not None
    assert excess.count == 40
    assert excess.value == pytest.approx(share(candidate[40:]) - found.share)
    assert excess.low <= excess.value <= excess.high


def test_of_a_kind_only_its_like_count() -> None:
    # The surrogate has lost the first of the unseen samples, which are the kind.
    whole, without = [True] * 80, [True] * 40 + [False] * 30 + [True] * 10
    kin = frozenset(UNSEEN[:30])
    found = expect(
        COHORT, network([True] * 80), PROBE, surrogate(whole, without, kin), min_probe=30
    )
    assert found is not None
    assert found.positions.tolist() == UNSEEN[:30]
    assert found.share == 0.0


def test_where_too_few_are_like_them_the_forgotten_themselves_count() -> None:
    without = [False] * 30 + [True] * 10 + [True] * 40
    given = surrogate([True] * 80, without, frozenset(UNSEEN[:29]))
    found = expect(COHORT, network([True] * 80), PROBE, given, min_probe=30)
    assert found is not None
    assert found.on == "forgotten"
    assert found.positions.tolist() == FORGOTTEN
    # A quarter of them, and a tenth because the network is so much better.
    assert found.share == pytest.approx(0.35)


def test_of_too_few_nothing_is_expected() -> None:
    given = surrogate([True] * 80, [False] * 80)
    assert expect(COHORT, network([True] * 80), PROBE, given, min_probe=41) is None
    kin = surrogate([True] * 80, [False] * 80, frozenset())
    assert expect(COHORT, network([True] * 80), PROBE, kin, min_probe=41) is None


def test_of_samples_that_nobody_looked_at_there_is_no_excess() -> None:
    expectation = Expectation(
        np.array([7]), np.array([1.0]), "unseen", of_kind=False, excused=frozenset()
    )
    assert expectation.excess(network([True] * 80).at([])) is None


@given(rights, rights, rights)
def test_what_was_expected_is_the_same_on_the_whole_when_it_comes_from_a_record(
    base: Rights, whole: Rights, without: Rights
) -> None:
    probe = replace(PROBE, holdout=UNSEEN[:7])
    found = expect(COHORT, network(base), probe, surrogate(whole, without), min_probe=30)
    assert found is not None
    assert found.excused == set(UNSEEN[:7])
    kept = json.loads(json.dumps(found.as_document().as_json()))
    again = Expectation.from_document(documents.Expectation.model_validate(kept))
    assert again.as_document() == found.as_document()
    for network_of in (base, whole):
        mine, theirs = (each.excess(network(network_of)) for each in (found, again))
        assert mine is not None
        assert theirs is not None
        assert mine.value == pytest.approx(theirs.value)


def test_of_samples_that_cannot_all_be_looked_at_nothing_new_is_expected() -> None:
    base = network([True] * 80)
    given = surrogate([True] * 80, [False] * 80)
    everything = {"excess": 0.05, "min_probe": 30}
    assert list(expect_all(base, PROBE, given, **everything)) == [COHORT]  # type: ignore[arg-type]
    fewer = base.at([*FORGOTTEN[1:], *UNSEEN])
    assert not expect_all(fewer, PROBE, given, **everything)  # type: ignore[arg-type]
