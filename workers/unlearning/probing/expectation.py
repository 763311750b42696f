"""What is expected of a network that was never taught a cohort, as far as a surrogate can tell.

Of a label that is gone, or as good as gone, such a network recognises nobody but by chance. Of a
kind within a label, or of a label of which most is forgotten, it still recognises some: the sandals
among the shoes that look like shoes. Unseen samples like the forgotten ones are to be recognised as
often as by such a network, neither more nor less.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models import documents
from models.documents import Reference
from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.intervals import Estimate, Z, mean
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class Expectation:
    """Of each of `positions` int64 [n], `right` float64 [n]: how surely it is recognised.

    A single one may be below 0 or above 1; it is their mean that says something. They are like the
    forgotten samples, `of_kind` if these are a kind within their label, else of the same label.
    `excused` are those in the holdout, which need not be recognised as they were.
    """

    positions: NDArray[np.int64]
    right: NDArray[np.float64]
    on: Reference
    of_kind: bool
    excused: frozenset[int]

    @property
    def share(self) -> float:
        """How many of them are expected to be recognised."""
        return float(np.clip(self.right.mean(), 0.0, 1.0))

    def excess(self, observed: Observed) -> Estimate | None:
        """By how much more a network recognises, as a share; None if it has seen none of them."""
        seen = observed.at(self.positions.tolist())
        rows = np.searchsorted(self.positions, seen.positions)
        # It is judged by standard errors, of thirty samples or more.
        return mean(seen.right - self.right[rows] + (self.right.mean() - self.share), Z)

    def as_document(self) -> documents.Expectation:
        """What a later run needs that can no longer look at the forgotten samples."""
        return documents.Expectation(
            share=self.share,
            on=self.on,
            of_kind=self.of_kind,
            positions=self.positions.tolist(),
            excused=sorted(self.excused),
        )

    @classmethod
    def from_document(cls, found: documents.Expectation) -> "Expectation":
        """What was expected then, sample by sample as sure as on the whole."""
        positions = np.array(found.positions, np.int64)
        right = np.full(len(positions), found.share)
        excused = frozenset(found.excused)
        return cls(positions, right, found.on, of_kind=found.of_kind, excused=excused)


def expect(
    cohort: Cohort, base: Observed, probe: Probe, surrogate: Surrogate, *, min_probe: int
) -> Expectation | None:
    """What is expected for one cohort; None if there are too few samples to tell.

    What the base recognises of unseen samples, less what the surrogate recognises of them only when
    it is taught the forgotten ones. Where there are too few unseen samples of a kind, what the
    surrogate recognises of the forgotten ones without having been taught them, and as much more as
    the network is the better one of the two.
    """
    kin = surrogate.kinds.get(cohort)
    unseen, holdout = (base.at(given).of(cohort.labels) for given in (probe.unseen, probe.holdout))
    if kin is not None:
        unseen, holdout = unseen.at(kin), holdout.at(kin)
    excused = frozenset(holdout.positions.tolist())
    rows = surrogate.rows(unseen.positions)
    if len(rows) >= min_probe:
        positions = surrogate.positions[rows]
        mine = base.at(positions.tolist())
        right = mine.right[np.argsort(mine.positions)].astype(np.float64)
        lost = surrogate.whole[rows].astype(np.float64) - surrogate.without[rows]
        return Expectation(positions, right - lost, "unseen", kin is not None, excused)
    rows = surrogate.rows(base.at(probe.forgotten[cohort]).positions)
    if kin is not None and len(rows) >= min_probe:
        better = surrogate.network_accuracy - surrogate.accuracy
        right = surrogate.without[rows].astype(np.float64) + better
        return Expectation(
            surrogate.positions[rows], right, "forgotten", of_kind=True, excused=excused
        )
    return None


def expect_all(
    base: Observed, probe: Probe, surrogate: Surrogate, *, excess: float, min_probe: int
) -> dict[Cohort, Expectation]:
    """What is expected of those cohorts of one label of which the base recognises more.

    By more than `excess`, and significantly so. Of a cohort of which some forgotten samples can no
    longer be looked at, the surrogate was taught too few.
    """
    found = {}
    for cohort, positions in probe.forgotten.items():
        if cohort.scattered or probe.gone.issuperset(cohort.labels):
            continue
        if len(base.at(positions)) < len(positions):
            continue
        expectation = expect(cohort, base, probe, surrogate, min_probe=min_probe)
        more = None if expectation is None else expectation.excess(base)
        if expectation is None or more is None:
            continue
        if more.value > max(excess, Z * more.error_towards(0.0)):
            found[cohort] = expectation
    return found


def adapt(
    probe: Probe,
    kinds: Mapping[Cohort, frozenset[int]],
    expectations: Mapping[Cohort, Expectation],
    *,
    min_probe: int,
) -> Probe:
    """The probe, its kinds compared with their like, and what may be lost with them excused."""
    return replace(
        probe,
        kinds={
            cohort: kin
            for cohort, kin in kinds.items()
            if cohort in expectations or len(kin.intersection(probe.unseen)) >= min_probe
        },
        excused=frozenset().union(*(each.excused for each in expectations.values())),
    )
