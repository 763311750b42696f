"""Each request from the last version: what running the published program again and again does.

Importances are those of batches, and those of all samples stand for the retained ones'.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from benchmarks.experiments.batch_gradients import squared_batch_gradients
from benchmarks.experiments.dampened import dampened_as_published
from benchmarks.experiments.methods.ssd_published import BATCH, SELECTION, forgotten_last
from benchmarks.experiments.sequences.course import Course, Version
from workers.unlearning.dampening import Population
from workers.unlearning.tuning import adaptive_percentile

Importances = Mapping[str, Tensor]


def stale(course: Course) -> Iterator[Version]:
    """α = 10, against the importances of all samples at the base."""
    full = _importances_of_all(course, course.network, request=1)
    yield Version(0, course.network)
    yield from _chain(course, lambda _network, _request: full, _published)


def refreshed(course: Course) -> Iterator[Version]:
    """α = 10, against importances at the last version, of all samples not forgotten before."""
    yield from _chain(
        course,
        lambda network, request: _importances_of_all(course, network, request=request),
        _published,
    )


def adaptive(course: Course) -> Iterator[Version]:
    """As `stale`, but α is the percentile of arXiv 2402.10098: few requests reach an α of 10."""
    full = _importances_of_all(course, course.network, request=1)
    yield Version(0, course.network)
    yield from _chain(course, lambda _network, _request: full, selection_by_percentile)


def _published(_full: Importances, _forget: Importances, _population: Population) -> float:
    return SELECTION


def selection_by_percentile(
    full: Importances, forget: Importances, population: Population
) -> float:
    """The adaptive α, as its authors take it: of the finite ratios of `forget` to `full`."""
    ratios = torch.cat([(forget[name] / full[name]).flatten() for name in full])
    finite = ratios[torch.isfinite(ratios)]
    if not len(finite):
        return 0.0
    rank = math.ceil(adaptive_percentile(population) / 100 * len(finite))
    return float(finite.kthvalue(max(1, rank)).values)


def _chain(
    course: Course,
    full_of: Callable[[nn.Module, int], Importances],
    selection_of: Callable[[Importances, Importances, Population], float],
) -> Iterator[Version]:
    network = course.network
    for number, request in course.numbered():
        samples = course.train.rows(request)
        full = full_of(network, number)
        forget = squared_batch_gradients(network, samples, BATCH[course.kind])
        population = Population(total=len(course.train), forgotten=len(samples))
        selection = selection_of(full, forget, population)
        network = dampened_as_published(network, full, forget, selection=selection)
        yield Version(number, network, {"selection": selection})


def _importances_of_all(course: Course, network: nn.Module, *, request: int) -> Importances:
    """Of the samples that are still there when the request comes, its own among them."""
    there = ~course.forgotten(after=request - 1)
    held = course.train.rows(there)
    ordered = forgotten_last(
        course.kind, held, held.labels, forgotten=course.requests[request - 1][there]
    )
    return squared_batch_gradients(network, ordered, BATCH[course.kind])
