"""The Fisher sums of each label's forgotten samples: those of earlier runs, and those of this one.

Threads read, hash and write them beside the pass, and the last of them beside the search. None of
the threads computes: what computes stays one thread with its helpers, as two of them would fight
over the processors.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager

from workers.resources import Resources
from workers.subjects import KeptSums, Subject, read_on
from workers.tensors import write_tensors
from workers.unlearning.importances import Provenance, Sums, add_sums

# Bytes of sums that stay in memory for the candidates.
MOST_BYTES = 1 << 30


class Bookkeeping:
    """Adds what was forgotten earlier to the sums of each label, and stores them.

    While a label's sums are computed, the kept ones of its samples forgotten earlier are read, and
    those of the label before are written: at most one set is being written, and one read. Beyond
    `most_bytes` of sums the next step reads them again, so that memory does not grow with the
    labels.
    """

    def __init__(
        self, subject: Subject, resources: Resources, files: Executor, most_bytes: int
    ) -> None:
        self._subject = subject
        self._resources = resources
        self._files = files
        self._most_bytes = most_bytes
        self._following: Sequence[int] = ()
        self._ahead: dict[int, Future[Sums]] = {}
        self._written: dict[int, Future[KeptSums]] = {}
        # Of labels that go whole: written by the enrolment.
        self._whole: dict[int, KeptSums] = {}
        self._at_hand: dict[int, Sums] = {}
        # Forgotten samples by label: those of earlier runs, and those kept in this one.
        self.forgotten = {label: kept.count for label, kept in subject.forgotten.items()}

    def expect(self, labels: Sequence[int]) -> None:
        """`labels` in the order in which they are to be kept; some may turn out to have nothing.

        Say so when no more will be kept: what has been read for them is let go then.
        """
        self._following = labels
        self._read_ahead()

    def keep(self, label: int, sums: Sums, count: int) -> None:
        """Store a label's sums, of `count` samples; those forgotten earlier are added in place."""
        kept = self._subject.forgotten.get(label)
        if kept is not None:
            ahead = self._ahead.pop(label, None) or self._read(kept)
            add_sums(sums, ahead.result())
            count += kept.count
        self.stored()
        self._written[label] = self._files.submit(
            store_sums, sums, count, self._subject.provenance, self._resources
        )
        self.forgotten[label] = count
        size = sum(tensor.nbytes for tensor in sums.values())
        if (len(self._at_hand) + 1) * size <= self._most_bytes:
            self._at_hand[label] = sums
        self._following = [later for later in self._following if later > label]
        self._read_ahead()

    def keep_all_of(self, label: int) -> None:
        """Take a label's sums from the enrolment: none of its training samples will stay."""
        self._whole[label] = kept = self._subject.of_labels[label]
        self.forgotten[label] = kept.count

    def sums_of(self, label: int) -> Sums:
        """All of a label's sums, to be read only; from the store if they are not in memory."""
        if label in self._at_hand:
            return self._at_hand[label]
        if label in self._whole:
            return self._read(self._whole[label]).result()
        written = self._written.get(label)
        kept = self._subject.forgotten[label] if written is None else written.result()
        return self._read(kept).result()

    def stored(self) -> dict[int, KeptSums]:
        """What was kept in this run, once all of it is stored."""
        written = {label: each.result() for label, each in self._written.items()}
        return {**self._whole, **written}

    def _read_ahead(self) -> None:
        forgotten = self._subject.forgotten
        following = [label for label in self._following if label in forgotten][:1]
        self._ahead = {
            label: self._ahead.get(label) or self._read(forgotten[label]) for label in following
        }

    def _read(self, kept: KeptSums) -> Future[Sums]:
        return self._files.submit(read_on, kept.artifact, self._resources)


@contextmanager
def keeping_books(
    subject: Subject, resources: Resources, *, halvings: int
) -> Iterator[Bookkeeping]:
    """Bookkeeping with its threads; what is being written at the end of the block is waited for.

    Each of the `halvings` halves the memory for sums: earlier attempts have run out of it.
    """
    with ThreadPoolExecutor(max_workers=2) as files:
        yield Bookkeeping(subject, resources, files, MOST_BYTES >> halvings)


def store_sums(sums: Sums, count: int, provenance: Provenance, resources: Resources) -> KeptSums:
    """Write sums to the store, with what they are sums of."""
    metadata = {"provenance": vars(provenance), "sample_count": count}
    artifact = resources.store.put(lambda writer: write_tensors(writer, sums, metadata))
    return KeptSums(artifact, count)
