"""The probe: which samples candidates are judged on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np

from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.observation import Observed

# A smaller probe is looked at whole.
LEAST = 1000
QUARTERS = 4


@dataclass(frozen=True)
class Parts:
    """A probe in parts, in the order in which they are looked at.

    Two `quarters` of every set of samples that decide, and the `rest` of these. Forgotten ones of
    labels that are gone decide nothing while there are unseen ones to tell by.
    """

    quarters: tuple[frozenset[int], frozenset[int]]
    rest: frozenset[int]
    forgotten: frozenset[int]

    def __iter__(self) -> Iterator[frozenset[int]]:
        yield from (*self.quarters, self.rest, self.forgotten)


@dataclass(frozen=True)
class Probe:
    """Which samples candidates are judged on, by position: the same ones for every candidate.

    `forgotten` are samples of each cohort, from this run and from earlier ones; `unseen` holdout
    samples of the labels that are forgotten, in part or whole; `retained` training samples that
    stay; `holdout` samples of all labels. `gone` are the labels of which next to nothing stays.
    """

    forgotten: Mapping[Cohort, Sequence[int]]
    unseen: Sequence[int]
    retained: Sequence[int]
    holdout: Sequence[int]
    gone: frozenset[int]
    num_classes: int
    # Unseen samples of the kind that a cohort is, of cohorts that are one within their label.
    kinds: Mapping[Cohort, frozenset[int]] = field(default_factory=dict)
    # Holdout samples that a network without the forgotten ones need not recognise any more.
    excused: frozenset[int] = frozenset()

    @cached_property
    def positions(self) -> frozenset[int]:
        """All samples that are looked at."""
        groups = (*self.forgotten.values(), self.unseen, self.retained, self.holdout)
        return frozenset(chain.from_iterable(groups))

    @cached_property
    def parts(self) -> Parts | None:
        """What is looked at first, and what later, where labels go whole; None of a small probe.

        Of samples that are compared with unseen ones, or with what is expected, fewer than all tell
        too little: then it is None, too. Which samples are in a quarter is drawn, always alike.
        """
        labels = chain.from_iterable(cohort.labels for cohort in self.forgotten)
        if len(self.positions) < LEAST or not self.gone.issuperset(labels):
            return None
        drawn = np.random.default_rng(0)
        groups = (self.unseen, self.retained, self.holdout)
        shuffled = [drawn.permutation(np.fromiter(group, np.int64)) for group in groups]
        first, second = (
            frozenset(np.concatenate([each[quarter::QUARTERS] for each in shuffled]).tolist())
            for quarter in range(2)
        )
        forgotten = frozenset(chain.from_iterable(self.forgotten.values()))
        rest = self.positions - first - second - forgotten
        return Parts((first, second - first), rest, forgotten)

    def like(self, cohort: Cohort, observed: Observed) -> Observed:
        """Unseen samples that a cohort's forgotten ones are compared with."""
        unseen = observed.at(self.unseen).of(cohort.labels)
        return unseen.at(self.kinds[cohort]) if cohort in self.kinds else unseen

    def undamaged(self, observed: Observed) -> Observed:
        """Holdout samples that are to be recognised as they were."""
        kept = set(self.holdout) - self.excused
        return observed.at(kept).without(self.gone)
