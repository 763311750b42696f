"""Damage: what a candidate costs those that stay, as falls of accuracy since the base."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from workers.unlearning.probing.intervals import Estimate, difference, exact_share
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import ROUNDING

# What a single label may fall by before it counts in full.
BEARABLE_OF_ONE = 0.05
# One side of what a 95 % interval leaves out.
DOUBT = 0.025


@dataclass(frozen=True)
class Fall:
    """Accuracy before and after on one set of samples.

    Of its `count` samples `lost` are recognised before only, and `gained` after only.
    """

    before: float
    after: float
    count: int
    lost: int
    gained: int

    @property
    def points(self) -> float:
        """How far accuracy has fallen, as a share; negative if it has risen."""
        return self.before - self.after

    def over(self, bound: float) -> bool:
        """Whether it is more than allowed. One sample alone is never too much."""
        return self.points > max(bound, 1 / self.count) + ROUNDING

    def surely_over(self, bound: float, *, among: int) -> bool:
        """Whether it is more than allowed, and not by chance: with 95 % for all of `among` falls.

        Of so many labels one or the other would seem to fall by itself (Bonferroni). Only what was
        recognised before can be lost, and only what was not can be gained.
        """
        if not self.over(bound):
            return False
        z = NormalDist().inv_cdf(1 - DOUBT / among)
        right = round(self.before * self.count)
        lost = exact_share(self.lost, right, z)
        gained = exact_share(self.gained, self.count - right, z)
        fewer = (lost.value - lost.low) * right if lost else 0.0
        more = (gained.high - gained.value) * (self.count - right) if gained else 0.0
        return self.points - math.hypot(fewer, more) / self.count > bound

    @property
    def lost_altogether(self) -> "Fall":
        """As if nobody were recognised after."""
        return replace(self, after=0.0, lost=round(self.before * self.count), gained=0)

    @property
    def deeper(self) -> Iterator["Fall"]:
        """As if one more of those recognised before were lost each time, and none gained."""
        right = round(self.before * self.count)
        for lost in range(1, right + 1):
            yield replace(self, after=(right - lost) / self.count, lost=lost, gained=0)

    @property
    def estimate(self) -> Estimate:
        """How far accuracy has fallen, with its interval."""
        found = difference(self.lost, self.gained, self.count)
        assert found is not None
        return found


@dataclass(frozen=True)
class Allowed:
    """How far accuracy may fall, as shares.

    Of a label with fewer than `min_probe` samples in the probe only what is no chance counts.
    """

    retained: float
    one_label: float
    holdout: float
    min_probe: int


@dataclass(frozen=True)
class Falls:
    """On the retained probe, on each label in it, and on unseen samples of what is still retained.

    None where there are no samples. The few that may stay of a label that is gone do not count: a
    network without the others would recognise few of them or none.
    """

    retained: Fall | None
    by_label: dict[int, Fall]
    holdout: Fall | None

    @property
    def loss(self) -> float:
        """The greatest of these falls, as a share of all samples; 0 if accuracy has risen.

        A label's counts by its part of the retained probe: that others rise does not make it good.
        What it falls by more than five points, or than one sample, counts in full: however small a
        label is, it is not to be lost for the others' good.
        """
        among = self.retained.count if self.retained else 1
        overall = (fall.points for fall in (self.retained, self.holdout) if fall is not None)
        labels = self.by_label.values()
        parts = (fall.points * fall.count / among for fall in labels)
        alone = (fall.points - max(BEARABLE_OF_ONE, 1 / fall.count) for fall in labels)
        return max([0.0, *overall, *parts, *alone])

    def worst_label(self, allowed: Allowed) -> tuple[int, Fall] | None:
        """The label that fell too far, or furthest of those with enough samples in the probe."""
        told = [
            *_beyond_one(self.by_label, allowed).items(),
            *(item for item in self.by_label.items() if item[1].count >= allowed.min_probe),
        ]
        return max(told, key=lambda item: item[1].points, default=None)

    def untold(self, allowed: Allowed) -> set[int]:
        """Labels with so few samples in the probe that not even to lose them all would count."""
        lost = {label: fall.lost_altogether for label, fall in self.by_label.items()}
        return lost.keys() - _beyond_one(lost, allowed).keys()

    def least_told(self, allowed: Allowed) -> dict[int, float]:
        """Of labels with too few samples to go by the bound alone, the least fall that counts.

        Labels that are `untold` are left out.
        """
        few = {label: f for label, f in self.by_label.items() if f.count < allowed.min_probe}
        found = {
            label: next(
                (each.points for each in fall.deeper if _is_told(each, allowed, len(few))), None
            )
            for label, fall in few.items()
        }
        return {label: points for label, points in found.items() if points is not None}

    def within(self, allowed: Allowed) -> bool:
        """Whether nothing fell further."""
        return not any(True for _ in self._beyond(allowed))

    def reasons(self, allowed: Allowed) -> list[str]:
        """Sentences on what fell further, and on one label at most."""
        return [_too_far(*found) for found in self._beyond(allowed)]

    def sure_reasons(self, allowed: Allowed) -> list[str]:
        """The same on what has not fallen further by chance, with 95 % for all falls together."""
        among = len(self.by_label) + 2

        def sure(fall: Fall | None, bound: float) -> Fall | None:
            return fall if fall is not None and fall.surely_over(bound, among=among) else None

        one = allowed.one_label
        return Falls(
            sure(self.retained, allowed.retained),
            {label: fall for label, fall in self.by_label.items() if sure(fall, one)},
            sure(self.holdout, allowed.holdout),
        ).reasons(allowed)

    def _beyond(self, allowed: Allowed) -> Iterator[tuple[str, Fall, float]]:
        if self.retained is not None and self.retained.over(allowed.retained):
            yield "the retained probe", self.retained, allowed.retained
        too_far = _beyond_one(self.by_label, allowed)
        if too_far:
            label, fall = max(too_far.items(), key=lambda item: item[1].points)
            yield f"retained samples of label {label}", fall, allowed.one_label
        if self.holdout is not None and self.holdout.over(allowed.holdout):
            what = "unseen samples of the labels that are still retained"
            yield what, self.holdout, allowed.holdout


def falls(base: Observed, candidate: Observed, probe: Probe) -> Falls:
    """Compare what two networks make of the same probe, as far as both have seen it.

    Both must have seen it in the same order.
    """
    base, candidate = (
        base.at(candidate.positions.tolist()),
        candidate.at(base.positions.tolist()),
    )
    assert np.array_equal(base.positions, candidate.positions)
    before, after = (each.at(probe.retained).without(probe.gone) for each in (base, candidate))
    mine, theirs = before.by_label(), after.by_label()
    by_label = {
        label: fall
        for label, found in mine.items()
        if (fall := _fall(found, theirs[label])) is not None
    }
    unseen = (probe.undamaged(each) for each in (base, candidate))
    return Falls(_fall(before, after), by_label, _fall(*unseen))


def _beyond_one(by_label: Mapping[int, Fall], allowed: Allowed) -> dict[int, Fall]:
    """The labels that fell further than one may."""
    few = sum(fall.count < allowed.min_probe for fall in by_label.values())
    return {label: fall for label, fall in by_label.items() if _is_told(fall, allowed, few)}


def _is_told(fall: Fall, allowed: Allowed, few: int) -> bool:
    """Whether it is too far for one label, and not by chance; so `few` have few samples."""
    if fall.count >= allowed.min_probe:
        return fall.over(allowed.one_label)
    return fall.surely_over(allowed.one_label, among=few)


def _fall(before: Observed, after: Observed) -> Fall | None:
    if before.accuracy is None or after.accuracy is None:
        return None
    lost, gained = before.right & ~after.right, after.right & ~before.right
    return Fall(before.accuracy, after.accuracy, len(after), int(lost.sum()), int(gained.sum()))


def _too_far(what: str, fall: Fall, bound: float) -> str:
    return (
        f"Accuracy on {what} ({fall.count} samples) would be {100 * fall.points:.1f} points below "
        f"the base's: {100 * fall.after:.1f} % instead of {100 * fall.before:.1f} %. The policy "
        f"allows {100 * bound:.1f}."
    )
