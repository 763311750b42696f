"""95 % intervals for the figures that runs are judged by.

Shares get Wilson's interval, or Clopper and Pearson's, and means Student's. (That is too short
where a few of some dozen values make most of the mean, as they do of losses: of a hundred samples
known by heart it holds what it should in four of five cases.) Differences of shares of the same
samples combine the intervals of what was lost and of what was gained, as Zou and Donner (2008) do.
The area under a ROC curve gets the interval that inverts the variance of Hanley and McNeil (1982)
as Newcombe (2006, method 5) does. That holds for a handful of samples too: of a single one, whose
rank among unseen samples may be anything, it says next to nothing, as it should.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from models import documents

# The two-sided 95 % quantile of the normal distribution.
Z = 1.959964
# Halvings of an interval in [0, 1]: to 1e-9.
HALVINGS = 30


@dataclass(frozen=True)
class Estimate:
    """A figure, how many samples it rests on, and its 95 % interval."""

    value: float
    count: int
    low: float
    high: float

    def error_towards(self, target: float) -> float:
        """The standard error on the side of `target`: intervals of shares are not symmetric."""
        edge = self.low if target < self.value else self.high
        return abs(edge - self.value) / Z

    def as_document(self) -> documents.Estimate:
        """As verdicts show it; what is not finite is None, because JSON has no such number."""
        value, low, high = (
            number if math.isfinite(number) else None
            for number in (self.value, self.low, self.high)
        )
        return documents.Estimate(value=value, count=self.count, low=low, high=high)


@dataclass(frozen=True)
class Stratum:
    """One label's part of a comparison: members, unseen samples, and its weight in the whole."""

    members: int
    unseen: int
    weight: float


def share(hits: int, count: int, z: float = Z) -> Estimate | None:
    """A share of `count` samples with Wilson's interval; None of no samples."""
    if not count:
        return None
    p, spread = hits / count, z * z / count
    middle = (p + spread / 2) / (1 + spread)
    half = z * math.sqrt(p * (1 - p) / count + spread / (4 * count)) / (1 + spread)
    # At the ends the formula gives the end itself, but for rounding.
    low = middle - half if hits else 0.0
    high = middle + half if hits < count else 1.0
    return Estimate(p, count, low, high)


def exact_share(hits: int, count: int, z: float = Z) -> Estimate | None:
    """A share with Clopper and Pearson's interval (1934), which is never too short."""
    if not count:
        return None
    doubt = NormalDist().cdf(-z)

    def as_many(p: float) -> bool:
        return _at_least(hits, count, p) >= doubt

    def as_few(p: float) -> bool:
        return _at_least(count - hits, count, 1 - p) >= doubt

    p = hits / count
    return Estimate(p, count, _edge(as_many, p, outermost=0.0), _edge(as_few, p, outermost=1.0))


def _at_least(hits: int, count: int, p: float) -> float:
    """The chance of `hits` or more in `count` draws with the chance `p`."""
    if hits == 0 or p == 1:
        return 1.0
    if p == 0:
        return 0.0
    draws = np.arange(1, count + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((count - draws + 1) / draws))])
    k = np.arange(hits, count + 1)
    return float(np.exp(ways[hits:] + k * math.log(p) + (count - k) * math.log1p(-p)).sum())


def difference(hits: int, misses: int, count: int) -> Estimate | None:
    """Of the same samples looked at twice: the share of `hits` less that of `misses`.

    `hits` and `misses` are different samples of `count`. None of no samples.
    """
    plus, minus = share(hits, count), share(misses, count)
    if plus is None or minus is None:
        return None
    value = plus.value - minus.value
    # One sample is not both, so the more of the one the fewer of the other.
    odds = [each.value / (1 - each.value) for each in (plus, minus) if each.value < 1]
    correlation = -math.sqrt(math.prod(odds)) if len(odds) == 2 else 0.0

    def together(one: float, other: float) -> float:
        return math.sqrt(one**2 + other**2 - 2 * correlation * one * other)

    return Estimate(
        value,
        count,
        value - together(plus.value - plus.low, minus.high - minus.value),
        value + together(plus.high - plus.value, minus.value - minus.low),
    )


def mean(values: NDArray[np.float64], errors: float | None = None) -> Estimate | None:
    """A mean, and so many standard errors to either side; if None is given, Student's interval.

    None of no values. One value has no spread to go by.
    """
    count = len(values)
    if not count:
        return None
    # Of values that are not finite neither mean nor spread is a number, which is no error.
    with np.errstate(invalid="ignore"):
        middle = float(values.mean())
        error = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    if errors is None:
        errors = float(stdtrit(max(1, count - 1), NormalDist().cdf(Z)))
    half = errors * error
    return Estimate(middle, count, middle - half, middle + half)


def area(value: float, strata: Sequence[Stratum]) -> Estimate:
    """An area under a ROC curve that is the weighted mean over strata."""
    count = sum(stratum.members for stratum in strata)

    def inside(area: float) -> bool:
        return abs(value - area) <= Z * math.sqrt(_variance(area, strata))

    return Estimate(
        value, count, _edge(inside, value, outermost=0.0), _edge(inside, value, outermost=1.0)
    )


def _variance(area: float, strata: Sequence[Stratum]) -> float:
    """Hanley and McNeil's variance with Newcombe's mean sample size, added up over strata."""
    variance = 0.0
    for stratum in strata:
        m, n = stratum.members, stratum.unseen
        others = (m + n) / 2 - 1
        ties = (1 - area) / (2 - area) + area / (1 + area)
        variance += stratum.weight**2 * area * (1 - area) * (1 + others * ties) / (m * n)
    return variance


def _edge(inside: Callable[[float], bool], value: float, *, outermost: float) -> float:
    """Where the interval around `value` ends on the way to `outermost`."""
    near, far = value, outermost
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        if inside(middle):
            near = middle
        else:
            far = middle
    return far
