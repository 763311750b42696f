"""A probe written down by hand: what networks make of it, and how the gate judges them."""

from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.observations import hits, seen, together
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.gating.bounds import Bounds
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe

# Label 0 is forgotten in part: 20 samples of it, and 40 unseen ones.
COHORT = Cohort((0,), 20, scattered=False)
FORGOTTEN, UNSEEN, RETAINED, HOLDOUT = 0, 100, 1000, 5000
Right = dict[int, tuple[int, int]]
ALL_RIGHT: Right = {1: (200, 200), 2: (200, 200)}


def network(
    above: int = 20, retained: Right = ALL_RIGHT, holdout: Right = ALL_RIGHT, unseen: int = 40
) -> Observed:
    """What a network makes of the probe: the forgotten have a lower loss than `above` unseen ones.

    `retained` and `holdout` are how many are right, out of how many, by label.
    """
    parts = [
        seen([0] * 20, unseen - above - 0.5, first=FORGOTTEN),
        seen([0] * unseen, list(range(unseen)), first=UNSEEN),
    ]
    for first, group in ((RETAINED, retained), (HOLDOUT, holdout)):
        for label, (right, count) in group.items():
            parts.append(hits(label, right, count, first + 1000 * label))
    return together(*parts)


def probe_of(observed: Observed, gone: frozenset[int] = frozenset()) -> Probe:
    """The probe of which this was made."""

    def between(first: int, last: int) -> list[int]:
        return [p for p in observed.positions.tolist() if first <= p < last]

    return Probe(
        forgotten={COHORT: between(FORGOTTEN, UNSEEN)},
        unseen=between(UNSEEN, RETAINED),
        retained=between(RETAINED, HOLDOUT),
        holdout=between(HOLDOUT, 10_000),
        gone=gone,
        num_classes=10,
    )


def judged(base: Observed, candidate: Observed, bounds: Bounds = BOUNDS) -> Judgement:
    return Gate(base, probe_of(base), bounds).judge(candidate)
