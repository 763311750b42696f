"""The sums of an enrolment: computed by this process or by several, then found in their notes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import ShardsMissing
from models.settings import Settings
from models.specifications import Enrolment
from workers.enrolment.job import Job
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
        if self.settings.processes > 1 or self.settings.nodes > 1:
            job = Job.of(self.enrolment, self.prepared, self.apart, self.logs)
            sum_in_ranks(job, self.settings, advance)
        else:
            self._sum(advance)

    def noted(self, go_on: Callable[[], None]) -> Iterator[tuple[Portion, Sums]]:
        """Every portion with its sums, one after another; `go_on` may raise in between.

        A worker that was taken over and wakes up late leaves fewer shards in the notes than there
        were: what is missing is summed again. If it is still missing then, processes may not all
        see the same folder: `ShardsMissing`.
        """
        for portion in self.portions:
            go_on()
            try:
                sums = self.logs.read_all(portion, self.prepared.network)
            except ShardsMissing:
                self.sum_all(lambda _count: go_on())
                sums = self.logs.read_all(portion, self.prepared.network)
            yield portion, sums
            # One set is held while the next is read, not two.
            del sums

    def _sum(self, advance: Callable[[int], None]) -> None:
        sum_portions(
            self.prepared.network,
            estimator_of(self.enrolment.estimator),
            self.prepared.indexed.dataset,
            self.portions,
            self.logs,
            self.settings,
            advance,
        )
