"""Cohorts: which forgotten samples are dampened together.

The samples of a label stand alone once at least a tenth of the label is forgotten; all others go
into one scattered cohort, since a handful of samples by itself selects weights by noise. Cohorts
depend on the set of forgotten samples alone, not on the order of requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# A label's forgotten samples are dampened by themselves from this share of the label on.
ALONE_FROM_SHARE = 0.1
# A label of which no more stays than this, neither as a share nor as a count, is as good as gone.
REMNANT_SHARE, REMNANT = 0.05, 10


@dataclass(frozen=True)
class Cohort:
    """The labels whose forgotten samples it holds, and how many samples these are."""

    labels: tuple[int, ...]
    count: int
    scattered: bool

    @property
    def name(self) -> str:
        """How reports call it."""
        return "scattered" if self.scattered else f"label {self.labels[0]}"

    @property
    def title(self) -> str:
        """The name as it stands at the beginning of a sentence."""
        return "The scattered cohort" if self.scattered else f"Label {self.labels[0]}"


def gone_labels(forgotten: Mapping[int, int], trained: Mapping[int, int]) -> frozenset[int]:
    """Labels of which nothing or next to nothing stays; no network would learn to recognise them.

    `forgotten` and `trained` count samples by label.
    """
    left = {label: trained[label] - count for label, count in forgotten.items()}
    return frozenset(
        label
        for label, count in left.items()
        if count <= min(REMNANT, REMNANT_SHARE * trained[label])
    )


def form_cohorts(forgotten: Mapping[int, int], trained: Mapping[int, int]) -> list[Cohort]:
    """Cohorts of `forgotten` samples per label, out of `trained` ones; empty labels are ignored."""
    present = {label: count for label, count in sorted(forgotten.items()) if count}
    alone = {
        label: count
        for label, count in present.items()
        if count >= ALONE_FROM_SHARE * trained[label]
    }
    cohorts = [Cohort((label,), count, scattered=False) for label, count in alone.items()]
    rest = {label: count for label, count in present.items() if label not in alone}
    if rest:
        cohorts.append(Cohort(tuple(rest), sum(rest.values()), scattered=True))
    return cohorts
