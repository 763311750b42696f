"""Each version from the base, for everything that is forgotten so far.

Sums of a request's samples are taken once, label by label, and added to those of earlier ones, as
the service does; only new samples cost a gradient pass.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.placement import in_parts
from benchmarks.experiments.sequences.course import Course, Version
from workers.unlearning.cohorts import form_cohorts
from workers.unlearning.dampening import Population, apply_factors, tighten, unit_factors
from workers.unlearning.importances import Sums, add_sums, sums_by_label, zero_sums
from workers.unlearning.tuning import adaptive_selection


@dataclass(frozen=True, eq=False)
class Part:
    """Samples that are dampened together: their Fisher sums, and how many they are."""

    sums: Sums
    count: int


class Ledger:
    """The sums of everything forgotten so far, by label."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._sums: dict[int, Sums] = {}
        self._counts: Counter[int] = Counter()

    def add(self, request: Tensor) -> None:
        """One gradient pass over the samples of a request."""
        subject, samples = self._subject, self._subject.train.rows(request)
        network = subject.network
        network.load_state_dict(subject.base)
        in_order = samples.rows(torch.argsort(samples.labels, stable=True))
        for label, sums in sums_by_label(
            network, in_parts(network, in_order), estimator=subject.estimator
        ):
            add_sums(self._sums.setdefault(label, zero_sums(network)), sums)
        self._counts.update(samples.labels.tolist())

    def everything(self) -> Part:
        """All of it together."""
        return self._of(self._counts)

    def cohorts(self) -> list[Part]:
        """As the service forms them."""
        trained = Counter(self._subject.train.labels.tolist())
        return [self._of(cohort.labels) for cohort in form_cohorts(self._counts, trained)]

    def _of(self, labels: Iterable[int]) -> Part:
        total, count = zero_sums(self._subject.network), 0
        for label in labels:
            add_sums(total, self._sums[label])
            count += self._counts[label]
        return Part(total, count)


def adaptive_factors(subject: Subject, parts: Iterable[Part]) -> Sums:
    """The minimum over parts, each with its own adaptive α and with λ = 1."""
    factors = unit_factors(subject.full)
    for part in parts:
        population = Population(total=len(subject.train), forgotten=part.count)
        selection = adaptive_selection(subject.full, part.sums, population)
        tighten(factors, subject.full, part.sums, population, selection=selection, strength=1.0)
    return factors


def dampened(course: Course, parts: Iterable[Part]) -> nn.Module:
    """The base, dampened for all parts."""
    factors = adaptive_factors(course.subject, parts)
    return course.with_weights(apply_factors(course.subject.base, factors))


def union(course: Course) -> Iterator[Version]:
    """Everything forgotten so far is one cohort."""
    ledger = Ledger(course.subject)
    for number, request in course.numbered():
        ledger.add(request)
        yield Version(number, dampened(course, [ledger.everything()]))


def cohorts(course: Course) -> Iterator[Version]:
    """The cohorts of the service, without its search and without its gate."""
    ledger = Ledger(course.subject)
    for number, request in course.numbered():
        ledger.add(request)
        yield Version(number, dampened(course, ledger.cohorts()))
