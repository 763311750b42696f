"""Every strategy by name; those whose names begin with `cut_` are compared after two requests."""

from collections.abc import Iterator, Mapping

from benchmarks.experiments.sequences import chained, from_base, partitions, service
from benchmarks.experiments.sequences.course import Course, Strategy, Version
from benchmarks.experiments.training import another

RETRAINED_AFTER = (1, 5, 10, 20)


def unchanged(course: Course) -> Iterator[Version]:
    """The base, whatever is asked."""
    for number, _ in course.numbered():
        yield Version(number, course.network)


def retrain(course: Course) -> Iterator[Version]:
    """From scratch, without what is forgotten so far; after some requests."""
    for after in course.reached(RETRAINED_AFTER):
        retained = course.train.rows(~course.forgotten(after))
        yield Version(after, course.recipe.train(retained, another(course.seed)))


# One after another: the lines of the picture.
SUCCESSIVE: Mapping[str, Strategy] = {
    "unchanged": unchanged,
    "retrain": retrain,
    "chained_stale": chained.stale,
    "chained_refreshed": chained.refreshed,
    "chained_adaptive": chained.adaptive,
    "union": from_base.union,
    "cohorts": from_base.cohorts,
    "auto": service.auto,
}

STRATEGIES: Mapping[str, Strategy] = {
    **SUCCESSIVE,
    "auto_at_once": service.auto_at_once,
    "cut_by_request": partitions.compared(partitions.by_request),
    "cut_by_label": partitions.compared(partitions.by_label),
    "cut_by_cluster": partitions.compared(partitions.by_cluster),
    "cut_by_sample": partitions.single_samples,
    "cut_nowhere": partitions.compared(partitions.undivided),
}
