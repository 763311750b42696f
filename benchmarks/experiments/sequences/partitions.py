"""Is the label the right cohort? The same forgotten samples, cut in other ways.

Every part is a cohort with its own adaptive α, from the base. The cuts are compared after request
5, when there are few enough samples for each to be a cohort of its own, and after the last.
"""

from collections.abc import Callable, Iterator

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from benchmarks.experiments.features import features
from benchmarks.experiments.refusals import NotApplicable
from benchmarks.experiments.sequences.course import Course, Strategy, Version
from benchmarks.experiments.sequences.from_base import Part, dampened
from benchmarks.experiments.tasks import Kind

COMPARED_AFTER = (5, 20)
CLUSTERS = 10
# Each sample that is a cohort of its own costs a gradient pass and a percentile of its own.
MOST_SINGLE_SAMPLES = 100

# Masks over the training samples that share what the requests up to a number name.
Cut = Callable[[Course, int], list[Tensor]]


def by_request(course: Course, after: int) -> list[Tensor]:
    """Each request is a cohort."""
    return course.requests[:after]


def by_label(course: Course, after: int) -> list[Tensor]:
    """Each label is a cohort, however few of its samples are forgotten."""
    return _by_group(course.forgotten(after), course.train.labels)


def by_cluster(course: Course, after: int) -> list[Tensor]:
    """Samples are a cohort whose features, as the last layer gets them, lie together."""
    forgotten = course.forgotten(after)
    samples = course.train.rows(forgotten)
    given = features(course.network, samples, course.recipe.classes).numpy()
    found = KMeans(min(CLUSTERS, len(given)), n_init=4, random_state=course.seed).fit(given)
    groups = torch.full((len(course.train),), -1)
    groups[forgotten] = torch.from_numpy(found.labels_).long()
    return _by_group(forgotten, groups)


def by_sample(course: Course, after: int) -> list[Tensor]:
    """Each sample is a cohort; none at all once there are too many."""
    forgotten = course.forgotten(after)
    if int(forgotten.sum()) > MOST_SINGLE_SAMPLES:
        return []
    return _by_group(forgotten, torch.arange(len(forgotten)))


def undivided(course: Course, after: int) -> list[Tensor]:
    """Everything is one cohort."""
    return [course.forgotten(after)]


def compared(cut: Cut) -> Strategy:
    """Cut everything forgotten so far anew, and dampen the base."""

    def strategy(course: Course) -> Iterator[Version]:
        for after in course.reached(COMPARED_AFTER):
            masks = cut(course, after)
            if masks:
                yield Version(after, dampened(course, _parts(course, masks)), _sizes(masks))

    return strategy


def single_samples(course: Course) -> Iterator[Version]:
    """Each sample a cohort.

    Raises:
        NotApplicable: it is not users who ask, of whom each has few samples.

    """
    if course.kind is not Kind.RANDOM:
        raise NotApplicable("a sample is a cohort only where users ask, each with few samples")
    yield from compared(by_sample)(course)


def _parts(course: Course, masks: list[Tensor]) -> Iterator[Part]:
    for mask in masks:
        rows = mask.nonzero().flatten()
        yield Part(course.subject.sums_of(rows), len(rows))


def _sizes(masks: list[Tensor]) -> dict[str, list[int]]:
    return {"cohorts": [int(mask.sum()) for mask in masks]}


def _by_group(forgotten: Tensor, groups: Tensor) -> list[Tensor]:
    return [forgotten & (groups == group) for group in sorted(set(groups[forgotten].tolist()))]
