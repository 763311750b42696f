"""The probe: which samples candidates are judged on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np

from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.observation import Observed

# At a glance a candidate is looked at through a quarter of the samples, then another; a smaller
# probe than this is looked at whole.
QUARTERS, LEAST = 4, 1000


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
    def parts(self) -> tuple[frozenset[int], ...]:
        """What is looked at first, then, and last: two quarters of every set of samples, the rest.

        The first may be enough to see that a candidate is out of the question. Of samples that are
        compared with unseen ones or with what is expected fewer tell too little, and a small probe
        does: then it is one part. Which samples are in a quarter is drawn, always alike.
        """
        groups = [*self.forgotten.values(), self.unseen, self.retained, self.holdout]
        everything = frozenset(chain.from_iterable(groups))
        labels = chain.from_iterable(cohort.labels for cohort in self.forgotten)
        if len(everything) < LEAST or not self.gone.issuperset(labels):
            return (everything,)
        drawn = np.random.default_rng(0)
        shuffled = [drawn.permutation(np.fromiter(group, np.int64)) for group in groups]
        first, second = (
            frozenset(np.concatenate([each[quarter::QUARTERS] for each in shuffled]).tolist())
            for quarter in range(2)
        )
        return first, second - first, everything - first - second

    def like(self, cohort: Cohort, observed: Observed) -> Observed:
        """Unseen samples that a cohort's forgotten ones are compared with."""
        unseen = observed.at(self.unseen).of(cohort.labels)
        return unseen.at(self.kinds[cohort]) if cohort in self.kinds else unseen

    def undamaged(self, observed: Observed) -> Observed:
        """Holdout samples that are to be recognised as they were."""
        kept = set(self.holdout) - self.excused
        return observed.at(kept).without(self.gone)
