"""The probe: which samples candidates are judged on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.observation import Observed


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

    def like(self, cohort: Cohort, observed: Observed) -> Observed:
        """Unseen samples that a cohort's forgotten ones are compared with."""
        unseen = observed.at(self.unseen).of(cohort.labels)
        return unseen.at(self.kinds[cohort]) if cohort in self.kinds else unseen

    def undamaged(self, observed: Observed) -> Observed:
        """Holdout samples that are to be recognised as they were."""
        kept = set(self.holdout) - self.excused
        return observed.at(kept).without(self.gone)
