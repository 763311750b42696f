"""The gradient pass of a run: Fisher sums of the samples to be forgotten, label by label.

Each label's sums are stored as soon as they are complete and then let go of, so memory does not
grow with the number of labels. Only the new samples cost a pass; those of earlier runs are added
from the store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.errors import NonFiniteGradient
from models.records import Phase, Split
from workers.claims import ForgetSample, Run
from workers.progress import Report, Tracker
from workers.resources import Resources
from workers.subjects import KeptSums, Position, Subject, read_on, readable_batches
from workers.tensors import write_tensors
from workers.unlearning.batches import Batch
from workers.unlearning.importances import BATCH, Provenance, Sums, add_sums, squared_gradient_sums


@dataclass(frozen=True)
class Weighed:
    """What the pass found. `updated` has the labels it touched, with their earlier samples."""

    updated: dict[int, KeptSums]
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
    by_label: dict[int, list[ForgetSample]] = {}
    # In dataset order, whatever the order they were asked in.
    for sample in sorted(run.samples, key=lambda sample: sample.position):
        if sample.split is Split.TRAIN:
            by_label.setdefault(sample.label, []).append(sample)
    tracker = Tracker(Phase.WEIGH, sum(map(len, by_label.values())), report)
    updated: dict[int, KeptSums] = {}
    trained: list[ForgetSample] = []
    unreadable: dict[str, str] = {}
    for label, samples in sorted(by_label.items()):
        sums, faults = _label_sums(subject, samples, tracker)
        read = [sample for sample in samples if sample.position not in faults]
        if read:
            updated[label] = _add_kept(sums, len(read), label, subject, resources)
        trained += read
        unreadable |= {s.sample_id: faults[s.position] for s in samples if s.position in faults}
    return Weighed(
        updated=updated,
        trained=tuple(trained),
        holdout=tuple(s for s in run.samples if s.split is Split.HOLDOUT),
        unreadable=unreadable,
    )


def _label_sums(
    subject: Subject, samples: Sequence[ForgetSample], tracker: Tracker
) -> tuple[Sums, dict[int, str]]:
    """Sums over those samples that can be used, and by position why others cannot."""
    unusable = _moved(subject, samples)
    while True:
        positions = [(s.position, s.label) for s in samples if s.position not in unusable]
        batches = _counted(subject, positions, tracker, unusable)
        try:
            # Reproducible: in which requests and order samples are forgotten must not show.
            sums = squared_gradient_sums(
                subject.network, batches, estimator=subject.estimator, reproducible=True
            )
        except NonFiniteGradient as error:
            unusable[error.position] = str(error)
        else:
            return sums, unusable


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
    """Store the label's new sums together with those of its samples forgotten earlier."""
    kept = subject.forgotten.get(label)
    if kept is not None:
        sums = add_sums(sums, read_on(kept.artifact, resources))
        count += kept.count
    return store_sums(sums, count, subject.provenance, resources)


def store_sums(sums: Sums, count: int, provenance: Provenance, resources: Resources) -> KeptSums:
    """Write sums to the store, with what they are sums of."""
    metadata = {"provenance": vars(provenance), "sample_count": count}
    artifact = resources.store.put(lambda writer: write_tensors(writer, sums, metadata))
    return KeptSums(artifact, count)
