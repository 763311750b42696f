"""Intervals against slow formulas, and how often they hold what they should."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import beta

from workers.unlearning.probing.intervals import (
    Estimate,
    Stratum,
    Z,
    area,
    difference,
    exact_share,
    mean,
    share,
)

# Strata of which no variance is zero: members, unseen samples, and parts of the whole.
strata_of_any_size = st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 200)), min_size=1, max_size=4
)


# Shares of few samples -------------------------------------------------------------------------


@given(st.integers(1, 300), st.data(), st.sampled_from([1.0, Z, 3.5]))
def test_an_exact_share_has_the_interval_that_the_beta_distribution_gives(
    count: int, data: st.DataObject, z: float
) -> None:
    hits = data.draw(st.integers(0, count))
    found = exact_share(hits, count, z)
    assert found is not None
    doubt = NormalDist().cdf(-z)
    low = beta.ppf(doubt, hits, count - hits + 1) if hits else 0.0
    high = beta.ppf(1 - doubt, hits + 1, count - hits) if hits < count else 1.0
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert (found.value, found.count) == (hits / count, count)


def test_of_no_samples_there_is_no_exact_share() -> None:
    assert exact_share(0, 0) is None


# Differences of the same samples ---------------------------------------------------------------


def test_a_difference_is_what_was_lost_less_what_was_gained() -> None:
    found = difference(30, 10, 400)
    assert found is not None
    assert (found.value, found.count) == (pytest.approx(0.05), 400)
    lost, gained = share(30, 400), share(10, 400)
    assert lost is not None
    assert gained is not None
    # They exclude one another, so the interval is wider than if they were independent.
    assert found.value - found.low > math.hypot(lost.value - lost.low, gained.high - gained.value)
    assert difference(0, 0, 0) is None


@pytest.mark.parametrize(("lost", "gained", "count"), [(0, 0, 50), (50, 0, 50), (0, 50, 50)])
def test_at_the_ends_a_difference_has_an_interval_too(lost: int, gained: int, count: int) -> None:
    found = difference(lost, gained, count)
    assert found is not None
    assert -1 - 1e-12 <= found.low <= found.value <= found.high <= 1 + 1e-12
    assert found.high - found.low > 0.05


@pytest.mark.parametrize(
    ("count", "p_lost", "p_gained"),
    [(30, 0.1, 0.05), (100, 0.02, 0.0), (200, 0.3, 0.3), (1000, 0.01, 0.01)],
)
def test_intervals_of_differences_hold_the_truth_as_often_as_they_say(
    count: int, p_lost: float, p_gained: float
) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(count, [p_lost, p_gained, 1 - p_lost - p_gained], size=2000)
    found = [difference(int(lost), int(gained), count) for lost, gained, _ in drawn]
    held = [each.low <= p_lost - p_gained <= each.high for each in found if each is not None]
    assert sum(held) / len(drawn) >= 0.93


# Shares ----------------------------------------------------------------------------------------


@given(st.integers(1, 10_000), st.data())
def test_a_share_has_the_interval_of_wilson(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    found = share(hits, count)
    assert found is not None
    assert (found.value, found.count) == (hits / count, count)
    for edge in (found.low, found.high):
        # Wilson (1927): the shares p at which the observed one is 1.96 standard errors away.
        assert (hits / count - edge) ** 2 == pytest.approx(
            Z**2 * edge * (1 - edge) / count, rel=1e-6, abs=1e-12
        )
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("count", [30, 100])
def test_intervals_of_shares_hold_the_truth_about_as_often_as_they_say(count: int) -> None:
    found = [share(hits, count) for hits in range(count + 1)]
    held = []
    for p in np.linspace(0.02, 0.98, 97).tolist():
        chances = [
            math.comb(count, hits) * p**hits * (1 - p) ** (count - hits)
            for hits, estimate in enumerate(found)
            if estimate is not None and estimate.low <= p <= estimate.high
        ]
        held.append(sum(chances))
    assert min(held) >= 0.92
    assert sum(held) / len(held) == pytest.approx(0.95, abs=0.005)


def test_none_and_all_reach_the_end_and_say_something_of_the_other_side() -> None:
    none, every = share(0, 30), share(30, 30)
    assert none is not None
    assert every is not None
    assert (none.value, none.low) == (0.0, 0.0)
    assert (every.value, every.high) == (1.0, 1.0)
    assert none.high == pytest.approx(1 - every.low)
    assert none.high == pytest.approx(Z**2 / (30 + Z**2))


def test_no_samples_have_no_share_and_no_mean() -> None:
    assert share(0, 0) is None
    assert mean(np.empty(0)) is None


# Means -----------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_a_mean_has_students_interval(values: list[float]) -> None:
    found = mean(np.array(values))
    assert found is not None
    middle = math.fsum(values) / len(values)
    variance = math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)
    half = stats.t(len(values) - 1).ppf(NormalDist().cdf(Z)) * math.sqrt(variance / len(values))
    assert found.value == pytest.approx(middle, rel=1e-9, abs=1e-6)
    assert found.high - found.value == pytest.approx(half, rel=1e-6, abs=1e-6)
    assert found.value - found.low == pytest.approx(half, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("count", [2, 5, 10, 100])
def test_the_interval_of_a_mean_holds_it_in_nineteen_of_twenty_draws(count: int) -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, count))
    found = [each for each in map(mean, draws) if each is not None]
    assert np.mean([each.low <= 3 <= each.high for each in found]) == pytest.approx(0.95, abs=0.012)


def test_a_single_value_says_nothing_of_the_spread() -> None:
    found = mean(np.array([2.5]))
    assert found == Estimate(2.5, 1, -math.inf, math.inf)
    assert found.as_document().as_json() == {"value": 2.5, "count": 1, "low": None, "high": None}


@pytest.mark.parametrize("values", [[math.inf], [math.inf, 1.0], [math.inf] * 2, [math.nan, 1.0]])
def test_what_is_not_finite_has_a_mean_that_reports_can_show(values: list[float]) -> None:
    found = mean(np.array(values))
    assert found is not None
    assert found.as_document().as_json() == {
        "value": None,
        "count": len(values),
        "low": None,
        "high": None,
    }


# Areas -----------------------------------------------------------------------------------------


def hanley_and_mcneil(area: float, members: float, unseen: float) -> float:
    """The variance as they write it (1982, equation 2), by Q1 and Q2."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    return (area * (1 - area) + (members - 1) * (q1 - area**2) + (unseen - 1) * (q2 - area**2)) / (
        members * unseen
    )


def newcombe(area: float, members: int, unseen: int) -> float:
    """The same with the mean sample size in place of both sizes, but in the divisor."""
    both = (members + unseen) / 2
    return hanley_and_mcneil(area, both, both) * both**2 / (members * unseen)


def strata_of(sizes: list[tuple[int, int]]) -> list[Stratum]:
    """Each weighs as its members do."""
    count = sum(members for members, _ in sizes)
    return [Stratum(members, unseen, members / count) for members, unseen in sizes]


@given(strata_of_any_size, st.floats(0, 1))
def test_the_interval_holds_the_areas_that_are_within_196_standard_errors(
    sizes: list[tuple[int, int]], value: float
) -> None:
    strata = strata_of(sizes)
    found = area(value, strata)
    assert found.count == sum(members for members, _ in sizes)
    assert 0 <= found.low <= value <= found.high <= 1
    for candidate in np.linspace(0, 1, 101).tolist():
        variance = sum(
            stratum.weight**2 * newcombe(candidate, stratum.members, stratum.unseen)
            for stratum in strata
        )
        beyond = abs(value - candidate) - Z * math.sqrt(max(0.0, variance))
        if abs(beyond) > 1e-6:
            assert (found.low <= candidate <= found.high) == (beyond < 0)


@pytest.mark.parametrize("value", [0.5, 0.7, 0.9])
def test_of_many_samples_it_is_as_wide_as_hanley_and_mcneil_say(value: float) -> None:
    found = area(value, [Stratum(2000, 2000, 1.0)])
    expected = 2 * Z * math.sqrt(hanley_and_mcneil(value, 2000, 2000))
    assert found.high - found.low == pytest.approx(expected, rel=0.01)


def test_four_times_the_samples_halve_it() -> None:
    small, large = (area(0.6, [Stratum(n, n, 1.0)]) for n in (500, 2000))
    assert (small.high - small.low) / (large.high - large.low) == pytest.approx(2, rel=0.01)


def test_the_rank_of_a_single_sample_may_be_anything() -> None:
    stratum = [Stratum(1, 1000, 1.0)]
    for value in np.linspace(0, 1, 21).tolist():
        found = area(value, stratum)
        assert found.low < 0.5 < found.high
        assert found.high - found.low > 0.55
    # One at the very end: a uniform rank has a standard deviation of 1/√12.
    assert area(1.0, stratum).error_towards(0.5) == pytest.approx(1 / math.sqrt(12), rel=0.02)


@pytest.mark.parametrize(("members", "unseen"), [(1, 30), (2, 30), (5, 30), (10, 60), (20, 20)])
def test_if_nothing_tells_them_apart_the_interval_says_so_as_often_as_it_should(
    members: int, unseen: int
) -> None:
    held = 0
    ways = rank_sums(members, unseen)
    for pairs, count in enumerate(ways):
        found = area(pairs / (members * unseen), [Stratum(members, unseen, 1.0)])
        held += count * (found.low <= 0.5 <= found.high)
    assert sum(ways) == math.comb(members + unseen, members)
    assert held / sum(ways) >= 0.945


def rank_sums(members: int, unseen: int) -> list[int]:
    """In how many orders of all samples so many pairs have the member below, for every count."""
    ways = [[[1] for _ in range(unseen + 1)] for _ in range(members + 1)]
    for m, n in itertools.product(range(1, members + 1), range(1, unseen + 1)):
        counts = [0] * (m * n + 1)
        # The largest of all is a member, who is below nobody, or unseen, above every member.
        for pairs, count in enumerate(ways[m - 1][n]):
            counts[pairs] += count
        for pairs, count in enumerate(ways[m][n - 1]):
            counts[pairs + m] += count
        ways[m][n] = counts
    return ways[members][unseen]


def test_a_label_alone_is_as_uncertain_as_the_same_samples_without_strata() -> None:
    whole = area(0.7, [Stratum(20, 50, 1.0)])
    assert area(0.7, [Stratum(20, 50, 1.0), Stratum(1, 1, 0.0)]).low == whole.low
    halves = area(0.7, [Stratum(20, 50, 0.5), Stratum(20, 50, 0.5)])
    assert (halves.high - halves.low) / (whole.high - whole.low) == pytest.approx(
        0.5**0.5, rel=0.05
    )


def test_the_error_is_that_of_the_side_on_which_the_target_lies() -> None:
    estimate = Estimate(0.8, 10, low=0.8 - 2 * Z, high=0.8 + Z)
    assert estimate.error_towards(0.5) == pytest.approx(2)
    assert estimate.error_towards(0.9) == pytest.approx(1)
