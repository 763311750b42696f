"""The gap attack: are forgotten samples recognised more often than samples that were never seen?

Whoever takes all samples that a network recognises for training samples finds those that it has
memorised (Yeom et al. 2018, arXiv 1709.01604). Losses compared sample against sample may miss that:
where most unseen samples are recognised as surely as the forgotten ones, the few that are not
hardly move the area under their ROC curve, and forgotten samples may be moved to both its sides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.unlearning.probing.observation import Observed

# Sums of chances are exact to that.
ROUNDING = 1e-9


@dataclass(frozen=True)
class GapAttack:
    """How much more often forgotten samples are recognised than unseen ones of the same labels.

    `gap` is a share, negative if they are recognised less often. `chance` is how likely a
    difference as great as that, on either side, would be if nothing but chance had decided which of
    the samples of each label were forgotten.
    """

    gap: float
    count: int
    chance: float


def gap_attack(forgotten: Observed, unseen: Observed) -> GapAttack | None:
    """Compare how many are recognised, label by label; None if no label has samples of both kinds.

    The test is exact whatever the number of samples: given how many samples of a label are
    recognised in all, those among its forgotten ones follow a hypergeometric distribution, and the
    labels together the sum of these (Mantel and Haenszel 1959, with that distribution for theirs).
    """
    theirs = unseen.by_label()
    pairs = [
        (mine.right, theirs[label].right)
        for label, mine in forgotten.by_label().items()
        if label in theirs
    ]
    count = sum(len(mine) for mine, _ in pairs)
    if not count:
        return None
    gap, found, expected = 0.0, 0, 0.0
    chances = np.ones(1)
    for mine, others in pairs:
        among, hits = len(mine) + len(others), int(mine.sum() + others.sum())
        gap += len(mine) / count * float(mine.mean() - others.mean())
        found += int(mine.sum())
        expected += len(mine) * hits / among
        chances = np.convolve(chances, _draws(len(mine), len(others), hits))
    apart = np.abs(np.arange(len(chances)) - expected)
    as_far = apart >= abs(found - expected) - ROUNDING
    return GapAttack(gap, count, min(1.0, float(chances[as_far].sum())))


def _draws(members: int, others: int, hits: int) -> NDArray[np.float64]:
    """The chances that 0, 1, … `members` of so many hits are among the members."""
    among = members + others
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, among + 1)))])

    def log_ways(of: int, choose: NDArray[np.int64]) -> NDArray[np.float64]:
        ways: NDArray[np.float64] = (
            log_factorials[of] - log_factorials[choose] - log_factorials[of - choose]
        )
        return ways

    possible = np.arange(max(0, hits - others), min(members, hits) + 1)
    chances = np.zeros(members + 1)
    chances[possible] = np.exp(
        log_ways(members, possible)
        + log_ways(others, hits - possible)
        - log_ways(among, np.array(hits))
    )
    return chances
