"""The sums of an enrolment: computed by this process or by several, then found in their notes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import ShardsMissing
from models.settings import Settings
from models.specifications import Enrolment
from workers.enrolment.portions import Portion, labels_apart, portions_of
from workers.enrolment.preparation import Prepared
from workers.enrolment.ranks import sum_in_ranks
from workers.enrolment.shardlog import ShardLogs
from workers.enrolment.shards import sum_portions
from workers.unlearning.estimators import estimator_of
from workers.unlearning.importances import Sums


@dataclass(frozen=True)
class Summing:
    """All training samples of an enrolment, in portions; `apart` are the labels of their own."""

    enrolment: Enrolment
    prepared: Prepared
    settings: Settings
    apart: list[int]
    portions: list[Portion]
    logs: ShardLogs

    @classmethod
    def of(
        cls, enrolment: Enrolment, prepared: Prepared, logs: Path, settings: Settings
    ) -> "Summing":
        """With notes whose names begin with `logs`."""
        training = prepared.indexed.training()
        apart = labels_apart(training, prepared.network, settings.label_sums_bytes)
        portions = portions_of(training, apart)
        shard_logs = ShardLogs(logs, settings.shard_size)
        return cls(enrolment, prepared, settings, apart, portions, shard_logs)

    def sum_all(self, advance: Callable[[int], None]) -> None:
        """Sum what is not noted yet; `advance` is told of every so many samples that are done."""
        if self.settings.processes > 1:
            sum_in_ranks(self.enrolment, self.apart, self.logs, self.settings, advance)
        else:
            self._sum(self.portions, advance)

    def noted(self) -> Iterator[tuple[Portion, Sums]]:
        """Every portion with its sums, one after another.

        A worker that was taken over and wakes up late leaves fewer shards in the notes than there
        were: what is missing this process sums again. Of several processes it is an error that any
        is missing, since then they may not all see the same folder: `ShardsMissing`.
        """
        for portion in self.portions:
            try:
                sums = self.logs.read_all(portion, self.prepared.network)
            except ShardsMissing:
                if self.settings.processes > 1:
                    raise
                self._sum([portion], lambda _count: None)
                sums = self.logs.read_all(portion, self.prepared.network)
            yield portion, sums

    def discard_notes(self) -> None:
        """The sums are kept elsewhere now."""
        for portion in self.portions:
            self.logs.of(portion).discard()

    def _sum(self, portions: Sequence[Portion], advance: Callable[[int], None]) -> None:
        sum_portions(
            self.prepared.network,
            estimator_of(self.enrolment.estimator),
            self.prepared.indexed.dataset,
            portions,
            self.logs,
            self.settings,
            advance,
        )
