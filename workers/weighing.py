"""The gradient pass of a run: Fisher sums of the samples to be forgotten, label by label.

Each label's sums are stored as soon as they are complete and then let go of, so memory does not
grow with the number of labels. Only the new samples cost a pass; those of earlier runs are added
from the store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.errors import SampleUnreadable
from models.records import Phase, Split
from workers.claims import ForgetSample, Run
from workers.progress import Report, Tracker
from workers.resources import Resources
from workers.subjects import BATCH, KeptSums, Subject, one_batch, read_on
from workers.tensors import write_tensors
from workers.unlearning.importances import Batch, Provenance, Sums, add_sums, squared_gradient_sums


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
    for sample in run.samples:
        if sample.split is Split.TRAIN:
            by_label.setdefault(sample.label, []).append(sample)
    tracker = Tracker(Phase.WEIGH, sum(map(len, by_label.values())), report)
    updated: dict[int, KeptSums] = {}
    trained: list[ForgetSample] = []
    unreadable: dict[str, str] = {}
    for label, samples in sorted(by_label.items()):
        batches = _readable(subject, samples, tracker, unreadable)
        sums = squared_gradient_sums(subject.network, batches)
        read = [sample for sample in samples if sample.sample_id not in unreadable]
        if read:
            updated[label] = _add_kept(sums, len(read), label, subject, resources)
            trained += read
    return Weighed(
        updated=updated,
        trained=tuple(trained),
        holdout=tuple(s for s in run.samples if s.split is Split.HOLDOUT),
        unreadable=unreadable,
    )


def _readable(
    subject: Subject,
    samples: Sequence[ForgetSample],
    tracker: Tracker,
    unreadable: dict[str, str],
) -> Iterator[Batch]:
    """Batches of the samples whose images can be read; the others go into `unreadable`."""
    for start in range(0, len(samples), BATCH):
        chunk = {sample.position: sample for sample in samples[start : start + BATCH]}
        tried = len(chunk)
        while True:
            try:
                positions = [(sample.position, sample.label) for sample in chunk.values()]
                batch = one_batch(subject.dataset, positions, subject.device)
                break
            except SampleUnreadable as error:
                unreadable[chunk.pop(error.position).sample_id] = str(error)
        yield batch
        tracker.advance(tried)


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
    artifact = resources.store.put(lambda path: write_tensors(path, sums, metadata))
    return KeptSums(artifact, count)
