"""The gradient pass of a run: Fisher sums of the samples to be forgotten, label by label.

Each label's sums go to the books as soon as they are complete. Only the new samples cost a pass;
those of earlier runs are added from the store. A label of which nothing will stay costs none, if
its enrolment has kept the label's sums.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from models.errors import DatasetUnreadable, NonFiniteGradient, SampleUnreadable
from models.records import Phase, Split
from workers.bookkeeping import Bookkeeping
from workers.datasets.source import Position
from workers.progress import Tell, Tracker
from workers.runs import ForgetSample, Run
from workers.subjects import Subject, readable_batches
from workers.unlearning.batches import Batch
from workers.unlearning.importances import BATCH, Sums, sums_by_label


@dataclass(frozen=True)
class Weighed:
    """What will be forgotten, in training and in holdout, and what cannot be."""

    trained: tuple[ForgetSample, ...]
    holdout: tuple[ForgetSample, ...]
    # Sample ID → why: its image cannot be read, or its gradient is no number.
    unusable: dict[str, str]


def weigh(
    run: Run,
    subject: Subject,
    books: Bookkeeping,
    others: Callable[[], Sequence[Position]],
    tell: Tell,
) -> Weighed:
    """Sum the squared gradients of the run's samples at the base weights, and keep the sums.

    Holdout samples never shaped the weights and cost no gradient. A sample whose image cannot be
    read is left out and named, unless its gradient is known, and so is one whose gradient is no
    number; the others do not suffer from it.
    `others` finds samples that stay: raises `DatasetUnreadable` if none of them can be read where
    images of the run cannot be, or need not be.
    """
    subject.put(subject.base)
    # In dataset order within each label, whatever the order they were asked in.
    samples = sorted(
        (sample for sample in run.samples if sample.split is Split.TRAIN),
        key=lambda sample: (sample.label, sample.position),
    )
    known = _labels_known(subject, samples)
    for label in known:
        books.keep_all_of(label)
    to_read = [sample for sample in samples if sample.label not in known]
    by_label = {label: list(of_it) for label, of_it in groupby(to_read, lambda each: each.label)}
    unusable: dict[int, str] = {}
    tracker = Tracker(Phase.WEIGH, len(to_read), tell)
    books.expect(list(by_label))
    for label, sums in _sums_by_label(run, subject, to_read, tracker, unusable):
        books.keep(label, sums, sum(s.position not in unusable for s in by_label[label]))
    books.expect(())
    if unusable or known:
        _require_readable(subject, others())
    return Weighed(
        trained=tuple(s for s in samples if s.position not in unusable),
        holdout=tuple(s for s in run.samples if s.split is Split.HOLDOUT),
        unusable={s.sample_id: unusable[s.position] for s in samples if s.position in unusable},
    )


def _labels_known(subject: Subject, samples: Sequence[ForgetSample]) -> frozenset[int]:
    """Labels none of whose training samples will stay, and whose sums the enrolment has kept."""
    new = Counter(sample.label for sample in samples)
    earlier = {label: kept.count for label, kept in subject.forgotten.items()}
    return frozenset(
        label
        for label, kept in subject.of_labels.items()
        if label in new and new[label] + earlier.get(label, 0) == kept.count
    )


def _sums_by_label(
    run: Run,
    subject: Subject,
    samples: Sequence[ForgetSample],
    tracker: Tracker,
    unusable: dict[int, str],
) -> Iterator[tuple[int, Sums]]:
    """The sums of each label's samples that can be used; the others are added to `unusable`."""
    done: set[int] = set()
    while True:
        positions = [
            (sample.position, sample.label)
            for sample in samples
            if sample.label not in done and sample.position not in unusable
        ]
        batches = _counted(subject, positions, tracker, unusable)
        try:
            # Reproducible: in which requests and order samples are forgotten must not show.
            for label, sums in sums_by_label(
                subject.network, batches, estimator=subject.estimator, halvings=run.starved
            ):
                done.add(label)
                yield label, sums
        except NonFiniteGradient as error:
            unusable[error.position] = str(error)
        else:
            return


def _counted(
    subject: Subject, positions: Sequence[Position], tracker: Tracker, unusable: dict[int, str]
) -> Iterator[Batch]:
    done = 0
    for batch in readable_batches(subject.dataset, positions, subject.device, unreadable=unusable):
        yield batch
        tracker.advance(min(BATCH, len(positions) - done))
        done += BATCH


def _require_readable(subject: Subject, others: Sequence[Position]) -> None:
    """Raise `DatasetUnreadable` unless some image of `others` can be read.

    A folder that is not mounted must not be taken for images that are gone.
    """
    found: SampleUnreadable | None = None
    for position, _ in others:
        try:
            subject.dataset.load([position])
        except SampleUnreadable as error:
            found = error
            continue
        return
    if found is not None:
        raise DatasetUnreadable(
            f"Of {len(others)} other images none can be used either. Check that the dataset is "
            f"where it was, and what it was; nothing is given up until then. The last of them: "
            f"{found}"
        )
