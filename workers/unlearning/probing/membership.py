"""Membership inference: can somebody tell forgotten samples from samples that were never seen?

The main figure is the loss-based attack. Each forgotten sample is compared with unseen samples *of
its own label*: the area under the ROC curve is the chance that the forgotten one has the lower
loss, 0.5 if they cannot be told apart. Above it, the forgotten look familiar; below it they look
stranger than unseen data, which gives them away as well.

The attack of the authors of SSD is there for comparison with published figures: a logistic
regression on the entropy of predictions, trained to tell retained from unseen samples.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from workers.unlearning.probing.intervals import Estimate, Stratum, Z, area, share
from workers.unlearning.probing.observation import Observed

# The share of unseen samples that an attacker may take for members by mistake.
FALSE_POSITIVES = 0.01
# Weights that are added up to exactly that share may come out slightly above it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class LossAttack:
    """How well losses tell forgotten samples from unseen ones of the same labels."""

    area: Estimate
    # Of forgotten samples, at 1 % of false positives; None if there are too few unseen samples for
    # that, by what 100 of equal weight tell.
    true_positives: Estimate | None
    unseen: int
    # Forgotten samples of labels of which there is no unseen sample to compare them with.
    unmatched: int

    @property
    def advantage(self) -> float:
        """The area's distance from 0.5: positive if the forgotten look familiar."""
        return self.area.value - 0.5


def loss_attack(forgotten: Observed, unseen: Observed) -> LossAttack | None:
    """Attack `forgotten` by their losses; None if no label has samples of both kinds."""
    theirs = unseen.by_label()
    matched = {label: mine for label, mine in forgotten.by_label().items() if label in theirs}
    count = sum(map(len, matched.values()))
    if not count:
        return None
    strata = [
        Stratum(len(mine), len(theirs[label]), len(mine) / count) for label, mine in matched.items()
    ]
    value = sum(
        stratum.weight * ranked_below(mine.loss, theirs[label].loss)
        for stratum, (label, mine) in zip(strata, matched.items(), strict=True)
    )
    return LossAttack(
        # Weights may add up to slightly more than 1.
        area=area(min(1.0, value), strata),
        true_positives=_true_positives(matched, theirs),
        unseen=sum(stratum.unseen for stratum in strata),
        unmatched=len(forgotten) - count,
    )


def ranked_below(lower: NDArray[np.float64], upper: NDArray[np.float64]) -> float:
    """The chance that one of `lower` is below one of `upper`, ties counting half."""
    upper = np.sort(upper)
    above = len(upper) - np.searchsorted(upper, lower, side="right")
    not_below = len(upper) - np.searchsorted(upper, lower, side="left")
    return float((above + not_below).mean()) / (2 * len(upper))


def _true_positives(forgotten: dict[int, Observed], unseen: dict[int, Observed]) -> Estimate | None:
    """Forgotten samples below the loss that 1 % of unseen ones are below.

    Unseen samples of each label weigh as much together as the forgotten ones of it. The interval
    allows for where that loss really lies, too, which so many unseen samples tell only roughly: its
    ends are those of the shares below the lowest and the highest loss that it may be.
    """
    losses = np.concatenate([unseen[label].loss for label in forgotten])
    weights = np.concatenate(
        [
            np.full(len(unseen[label]), len(mine) / len(unseen[label]))
            for label, mine in forgotten.items()
        ]
    )
    # As many unseen samples of equal weight would tell as much.
    effective = weights.sum() ** 2 / (weights**2).sum()
    if effective * FALSE_POSITIVES < 1 - ROUNDING:
        return None
    order = np.argsort(losses, kind="stable")
    losses, taken = losses[order], np.cumsum(weights[order]) / weights.sum()
    mine = np.concatenate([observed.loss for observed in forgotten.values()])

    def called(false_positives: float) -> Estimate:
        # The loss from which on more would be taken: what lies below it is called a member.
        first = int(np.searchsorted(taken, false_positives + ROUNDING, side="right"))
        threshold = losses[min(first, len(losses) - 1)] if false_positives > 0 else -math.inf
        found = share(int((mine < threshold).sum()), len(mine))
        assert found is not None
        return found

    error = Z * math.sqrt(FALSE_POSITIVES * (1 - FALSE_POSITIVES) / effective)
    found = called(FALSE_POSITIVES)
    return replace(
        found,
        low=called(FALSE_POSITIVES - error).low,
        high=called(FALSE_POSITIVES + error).high,
    )


def entropy_attack(retained: Observed, unseen: Observed, forgotten: Observed) -> Estimate | None:
    """The share of forgotten samples that the authors' attack calls members.

    None if there are no samples of one of the three kinds.
    """
    if not (len(retained) and len(unseen) and len(forgotten)):
        return None
    features = np.concatenate([retained.entropy, unseen.entropy])[:, None]
    members = np.repeat([1, 0], [len(retained), len(unseen)])
    attacker = LogisticRegression(class_weight="balanced").fit(features, members)
    called = attacker.predict(forgotten.entropy[:, None])
    return share(int(called.sum()), len(called))
