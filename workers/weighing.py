"""The gradient pass of a run: Fisher sums of the samples to be forgotten, label by label.

Each label's sums are stored as soon as they are complete. Those that fit stay in memory too, as the
next step wants them; beyond that memory does not grow with the number of labels. Only the new
samples cost a pass; those of earlier runs are added from the store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.errors import NonFiniteGradient
from models.records import Phase, Split
from workers.probes import Position
from workers.progress import Report, Tracker
from workers.resources import Resources
from workers.runs import ForgetSample, Run
from workers.subjects import KeptSums, Subject, read_on, readable_batches
from workers.tensors import write_tensors
from workers.unlearning.batches import Batch
from workers.unlearning.importances import BATCH, Provenance, Sums, add_sums, sums_by_label

# Bytes of sums that stay in memory for the next step.
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Weighed:
    """What the pass found. `updated` has the labels it touched, with their earlier samples."""

    updated: dict[int, KeptSums]
    # The same sums, of as many labels as fit in memory.
    at_hand: dict[int, Sums]
    # Samples that will be forgotten, in training and in holdout.
    trained: tuple[ForgetSample, ...]
    holdout: tuple[ForgetSample, ...]
    # Sample ID → why its image could not be read.
    unreadable: dict[str, str]


def weigh(run: Run, subject: Subject, resources: Resources, report: Report) -> Weighed:
    """Sum the squared gradients of the run's samples at the base weights, and store the sums.

    Holdout samples never shaped the weights and cost no gradient. A sample whose image cannot be
    read is left out and named; the others do not suffer from it.
    """
    subject.put(subject.base)
    # In dataset order within each label, whatever the order they were asked in.
    samples = sorted(
        (sample for sample in run.samples if sample.split is Split.TRAIN),
        key=lambda sample: (sample.label, sample.position),
    )
    unusable = _moved(subject, samples)
    tracker = Tracker(Phase.WEIGH, len(samples), report)
    updated: dict[int, KeptSums] = {}
    at_hand: dict[int, Sums] = {}
    for label, sums in _sums_by_label(run, subject, samples, tracker, unusable):
        count = sum(s.label == label and s.position not in unusable for s in samples)
        updated[label] = _add_kept(sums, count, label, subject, resources)
        size = sum(tensor.nbytes for tensor in sums.values())
        if (len(at_hand) + 1) * size <= MOST_BYTES >> run.starved:
            at_hand[label] = sums
    return Weighed(
        updated=updated,
        at_hand=at_hand,
        trained=tuple(s for s in samples if s.position not in unusable),
        holdout=tuple(s for s in run.samples if s.split is Split.HOLDOUT),
        unreadable={s.sample_id: unusable[s.position] for s in samples if s.position in unusable},
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


def _moved(subject: Subject, samples: Sequence[ForgetSample]) -> dict[int, str]:
    """Samples whose place in the dataset holds another one now, with the wrong gradient."""
    index = subject.dataset.index()
    present = len(index.sample_ids)
    return {
        sample.position: (
            f"The dataset has changed since it was enrolled: position {sample.position} does not "
            "hold this sample any more."
        )
        for sample in samples
        if sample.position >= present
        or index.sample_ids[sample.position] != sample.sample_id
        or int(index.labels[sample.position]) != sample.label
    }


def _add_kept(
    sums: Sums, count: int, label: int, subject: Subject, resources: Resources
) -> KeptSums:
    """Store the label's sums, those of its samples forgotten earlier added to them in place."""
    kept = subject.forgotten.get(label)
    if kept is not None:
        add_sums(sums, read_on(kept.artifact, resources))
        count += kept.count
    return store_sums(sums, count, subject.provenance, resources)


def store_sums(sums: Sums, count: int, provenance: Provenance, resources: Resources) -> KeptSums:
    """Write sums to the store, with what they are sums of."""
    metadata = {"provenance": vars(provenance), "sample_count": count}
    artifact = resources.store.put(lambda writer: write_tensors(writer, sums, metadata))
    return KeptSums(artifact, count)
