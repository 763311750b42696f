"""Reading the sums of earlier runs and writing new ones, beside the pass that computes.

Threads read, hash and write. None of them computes: what computes stays one thread with its
helpers, as two of them would fight over the processors.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future

from workers.resources import Resources
from workers.subjects import KeptSums, Subject, read_on
from workers.tensors import write_tensors
from workers.unlearning.importances import Provenance, Sums, add_sums


class Bookkeeping:
    """Adds what was forgotten earlier to the sums of each label, and stores them.

    While a label's sums are computed, the kept ones of its samples forgotten earlier are read, and
    those of the label before are written: at most one set is being written, and one read.
    """

    def __init__(
        self, subject: Subject, resources: Resources, files: Executor, labels: Sequence[int]
    ) -> None:
        """`labels` in the order in which they are to be kept; some may turn out to have nothing."""
        self._subject = subject
        self._resources = resources
        self._files = files
        self._labels = labels
        self._ahead: dict[int, Future[Sums]] = {}
        self._written: dict[int, Future[KeptSums]] = {}
        self._read_ahead(labels)

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
        self._read_ahead([later for later in self._labels if later > label])

    def stored(self) -> dict[int, KeptSums]:
        """All that was kept, once all of it is stored."""
        return {label: written.result() for label, written in self._written.items()}

    def _read_ahead(self, labels: Sequence[int]) -> None:
        forgotten = self._subject.forgotten
        following = [label for label in labels if label in forgotten][:1]
        self._ahead = {label: self._read(forgotten[label]) for label in following}

    def _read(self, kept: KeptSums) -> Future[Sums]:
        return self._files.submit(read_on, kept.artifact, self._resources)


def store_sums(sums: Sums, count: int, provenance: Provenance, resources: Resources) -> KeptSums:
    """Write sums to the store, with what they are sums of."""
    metadata = {"provenance": vars(provenance), "sample_count": count}
    artifact = resources.store.put(lambda writer: write_tensors(writer, sums, metadata))
    return KeptSums(artifact, count)
