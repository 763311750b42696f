"""Attacks against comparing every pair, and against exact fractions."""

import json
import math
from collections import Counter
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from tests.unit.workers.unlearning.observations import seen, together
from workers.unlearning.probing.intervals import Estimate, Stratum, area
from workers.unlearning.probing.membership import entropy_attack, loss_attack, ranked_below
from workers.unlearning.probing.observation import Observed

# Few different losses, so that ties are common; and what a collapsed network makes.
losses = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, math.inf])
samples = st.lists(st.tuples(st.integers(0, 3), losses), max_size=30)


def of(pairs: list[tuple[int, float]]) -> Observed:
    return seen([label for label, _ in pairs], [loss for _, loss in pairs])


def chance(mine: list[float], theirs: list[float]) -> float:
    """Of one of `mine` to be below one of `theirs`, by looking at every pair."""
    wins = [1.0 if a < b else 0.5 if a == b else 0.0 for a in mine for b in theirs]
    return sum(wins) / len(wins)


@given(st.lists(losses, min_size=1, max_size=20), st.lists(losses, min_size=1, max_size=20))
def test_the_chance_to_be_lower_is_counted_over_every_pair(
    mine: list[float], theirs: list[float]
) -> None:
    assert ranked_below(np.array(mine), np.array(theirs)) == pytest.approx(chance(mine, theirs))


@given(samples, samples)
def test_the_area_compares_samples_of_one_label_and_weighs_labels_by_the_forgotten(
    forgotten: list[tuple[int, float]], unseen: list[tuple[int, float]]
) -> None:
    found = loss_attack(of(forgotten), of(unseen))
    theirs = {label: [loss for at, loss in unseen if at == label] for label, _ in unseen}
    chances = [chance([loss], theirs[label]) for label, loss in forgotten if label in theirs]
    if not chances:
        assert found is None
        return
    assert found is not None
    # Each forgotten sample has one vote, which is its chance among unseen ones of its label.
    assert found.area.value == pytest.approx(sum(chances) / len(chances))
    assert found.advantage == pytest.approx(found.area.value - 0.5)
    labels = {label for label, _ in forgotten} & set(theirs)
    assert found.area.count == len(chances)
    assert found.unseen == sum(len(theirs[label]) for label in labels)
    assert found.unmatched == len(forgotten) - len(chances)


def test_the_area_has_the_interval_of_its_labels() -> None:
    forgotten, unseen = seen([0] * 3 + [1] * 9), seen([0] * 20 + [1] * 30 + [2] * 50)
    found = loss_attack(forgotten, unseen)
    assert found is not None
    assert found.area == area(0.5, [Stratum(3, 20, 0.25), Stratum(9, 30, 0.75)])


def test_a_label_that_is_easier_than_another_is_no_influence() -> None:
    # Compared without labels, the forgotten would look familiar: most are of the easy label.
    forgotten = seen([0] * 9 + [1], [0.1] * 9 + [5.0])
    unseen = seen([0] * 10 + [1] * 90, [0.1] * 10 + [5.0] * 90)
    found = loss_attack(forgotten, unseen)
    assert found is not None
    assert found.area.value == 0.5


@pytest.mark.parametrize("labels", [1, 3, 11, 21, 49, 107])
@pytest.mark.parametrize(("mine", "value"), [(0.0, 1.0), (1.0, 0.5), (2.0, 0.0)])
def test_labels_of_one_sample_each_add_up_to_an_area(
    labels: int, mine: float, value: float
) -> None:
    found = loss_attack(seen(range(labels), mine), seen(range(labels), 1.0))
    assert found is not None
    assert found.area.value == pytest.approx(value)
    assert 0 <= found.area.low <= found.area.value <= found.area.high <= 1


@pytest.mark.parametrize(("forgotten", "unseen"), [([], [0]), ([0], []), ([], []), ([0], [1])])
def test_without_two_of_a_label_there_is_no_attack(forgotten: list[int], unseen: list[int]) -> None:
    assert loss_attack(seen(forgotten), seen(unseen)) is None


def test_losses_that_are_no_numbers_are_the_highest_and_alike() -> None:
    nan = [math.nan] * 100
    unseen = together(seen([0] * 100, nan), seen([0] * 100, 1.0))
    for forgotten, value in ((seen([0] * 4, nan[:4]), 0.25), (seen([0] * 4, 0.5), 1.0)):
        found = loss_attack(forgotten, unseen)
        assert found is not None
        assert found.true_positives is not None
        assert found.area.value == value
        json.dumps(
            [found.area.as_document().as_json(), found.true_positives.as_document().as_json()],
            allow_nan=False,
        )


# At 1 % of false positives ---------------------------------------------------------------------


def most_taken(forgotten: list[tuple[int, float]], unseen: list[tuple[int, float]]) -> int:
    """How many forgotten samples are below the last threshold with at most 1 % of unseen ones.

    In exact fractions; unseen samples of a label weigh as much as the forgotten ones of it.
    """
    mine, theirs = (Counter(label for label, _ in pairs) for pairs in (forgotten, unseen))
    most = 0
    for threshold in {loss for _, loss in unseen}:
        below = Counter(label for label, loss in unseen if loss < threshold)
        taken = sum(Fraction(mine[label] * n, theirs[label]) for label, n in below.items())
        if taken <= Fraction(len(forgotten), 100):
            most = max(most, sum(loss < threshold for _, loss in forgotten))
    return most


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 1), st.integers(10, 60)), max_size=50),
    st.integers(48, 100),
)
def test_true_positives_are_those_below_the_last_threshold_with_one_per_cent_of_unseen(
    forgotten: list[tuple[int, float]], some: list[tuple[int, float]], more: int
) -> None:
    unseen = [*some, *((label, 20.0 + i % 30) for label in (0, 1) for i in range(more))]
    found = loss_attack(of(forgotten), of(unseen))
    assert found is not None
    labels = {label for label, _ in forgotten}
    matched = [pair for pair in unseen if pair[0] in labels]
    each = Counter(label for label, _ in matched)
    mine = Counter(label for label, _ in forgotten)
    # So many of equal weight would tell as much.
    enough = len(forgotten) ** 2 / sum(mine[label] ** 2 / each[label] for label in labels)
    if enough < 100 - 1e-6:
        assert found.true_positives is None
        return
    assert found.true_positives is not None
    expected = most_taken(forgotten, matched) / len(forgotten)
    assert found.true_positives.value == pytest.approx(expected)


@pytest.mark.parametrize("members", [1, 2, 7, 30])
@pytest.mark.parametrize("count", [100, 200, 400, 800])
def test_exactly_one_per_cent_of_unseen_samples_may_be_taken_for_members(
    members: int, count: int
) -> None:
    unseen = seen([0] * count, list(range(count)))
    allowed = count // 100
    for taken, share in ((allowed, 1.0), (allowed + 1, 0.0)):
        # Of unseen losses 0, 1, 2, … so many are below every member's.
        found = loss_attack(seen([0] * members, taken - 0.5), unseen)
        assert found is not None
        assert found.true_positives is not None
        assert found.true_positives.value == share


@pytest.mark.parametrize(("taken", "value"), [(9, 1.0), (10, 1.0), (11, 0.0)])
def test_unseen_samples_of_a_label_weigh_together_as_much_as_the_forgotten_ones(
    taken: int, value: float
) -> None:
    # A tenth of the forgotten are of label 1, so ten unseen samples of its hundred are 1 %.
    forgotten = seen([0] * 9 + [1], taken - 0.5)
    unseen = seen([0] * 100 + [1] * 100, [200.0] * 100 + list(range(100)))
    found = loss_attack(forgotten, unseen)
    assert found is not None
    assert found.true_positives is not None
    assert found.true_positives.value == value


@pytest.mark.parametrize(("members", "unseen"), [(1000, 1000), (600, 100), (200, 1000)])
def test_the_interval_allows_for_where_the_threshold_really_lies(members: int, unseen: int) -> None:
    rng = np.random.default_rng(0)
    # Of standard normal losses 1 % are below -2.326; the members' lie one lower.
    truth = NormalDist().cdf(NormalDist().inv_cdf(0.01) + 1)
    held = 0
    for _ in range(200):
        found = loss_attack(
            seen([0] * members, rng.normal(-1, 1, members).tolist()),
            seen([0] * unseen, rng.normal(0, 1, unseen).tolist()),
        )
        assert found is not None
        assert found.true_positives is not None
        held += found.true_positives.low <= truth <= found.true_positives.high
    assert held / 200 >= 0.94


def test_a_few_unseen_samples_that_most_forgotten_ones_are_compared_with_have_no_hundredth() -> (
    None
):
    forgotten = seen([0] * 100 + [1] * 10)
    found = loss_attack(forgotten, seen([0] * 10 + [1] * 200))
    assert found is not None
    assert found.true_positives is None


def test_fewer_than_a_hundred_unseen_samples_have_no_hundredth() -> None:
    for count, known in ((99, False), (100, True)):
        found = loss_attack(seen([0]), seen([0] * count))
        assert found is not None
        assert (found.true_positives is not None) == known


# By entropy ------------------------------------------------------------------------------------


def test_entropies_that_tell_retained_from_unseen_call_the_forgotten_by_them() -> None:
    retained = seen([0] * 50, entropies=0.1)
    unseen = seen([0] * 20, entropies=2.0)
    forgotten = seen([0] * 8, entropies=[0.1] * 6 + [2.0] * 2)
    found = entropy_attack(retained, unseen, forgotten)
    assert found is not None
    assert (found.value, found.count) == (0.75, 8)


def test_the_attacker_is_the_balanced_regression_of_the_authors() -> None:
    rng = np.random.default_rng(0)
    mine, theirs, others = rng.gamma(1.0, 0.3, 90), rng.gamma(1.5, 0.4, 30), rng.gamma(1.2, 0.3, 40)

    def penalised(parameters: NDArray[np.float64]) -> float:
        slope, offset = parameters
        losses = np.logaddexp(0, -(slope * mine + offset)).sum() * 120 / (2 * 90)
        losses += np.logaddexp(0, slope * theirs + offset).sum() * 120 / (2 * 30)
        return float(losses + slope**2 / 2)

    slope, offset = minimize(penalised, [0.0, 0.0]).x
    expected = int((slope * others + offset > 0).sum())
    found = entropy_attack(
        seen([0] * 90, entropies=mine.tolist()),
        seen([0] * 30, entropies=theirs.tolist()),
        seen([0] * 40, entropies=others.tolist()),
    )
    assert isinstance(found, Estimate)
    assert 0 < expected < 40
    assert found.value == pytest.approx(expected / 40)


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 0)])
def test_without_samples_of_all_three_kinds_there_is_no_attack_by_entropy(
    counts: tuple[int, int, int],
) -> None:
    retained, unseen, forgotten = (seen([0] * count) for count in counts)
    assert entropy_attack(retained, unseen, forgotten) is None
