"""The pass over all training samples: shard by shard, by one process or by several together.

After every shard the sums so far are written down (`shardlog.py`), so an enrolment that was killed
goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from models.errors import DatasetUnreadable, SampleUnreadable
from models.settings import Settings
from workers.datasets import Dataset
from workers.datasets.source import Position
from workers.enrolment.group import ALONE, Group
from workers.enrolment.portions import Portion
from workers.enrolment.shardlog import ShardLog, ShardLogs
from workers.loading import dead_readers_named, load_ahead
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator
from workers.unlearning.importances import Sums, add_sums, fisher_sums, zero_sums


@dataclass(frozen=True)
class _Begun:
    """A portion of which shards are still to be summed, and the sums of those before, if any."""

    log: ShardLog
    sums: Sums | None
    done: int
    shards: list[list[Position]]


def sum_portions(
    network: nn.Module,
    estimator: Estimator,
    dataset: Dataset,
    portions: Sequence[Portion],
    logs: ShardLogs,
    settings: Settings,
    advance: Callable[[int], None],
    group: Group = ALONE,
) -> None:
    """Fisher sums over each portion, in its log; `advance` is told of every so many samples that
    are done, those of the whole group.

    Every process of the group takes its share of each shard, and the first one writes: others may
    not see its logs. Raises `DatasetUnreadable` naming an image that cannot be read, and
    `ReaderDied`; in a group, `RankRefused`.
    """
    begun = list(_incomplete(network, portions, logs, advance, group))
    # A process may notice between two shards, too.
    with dead_readers_named():
        _sum_rest(network, estimator, dataset, begun, settings.loaders, advance, group)


def _sum_rest(
    network: nn.Module,
    estimator: Estimator,
    dataset: Dataset,
    begun: Sequence[_Begun],
    loaders: int,
    advance: Callable[[int], None],
    group: Group,
) -> None:
    # One reader of all that is left: to start its processes takes longer than many a label.
    shards = load_ahead(
        dataset,
        [group.share(shard) for portion in begun for shard in portion.shards],
        _device(network),
        loaders=loaders,
    )
    for portion in begun:
        sums = (portion.sums or zero_sums(network)) if group.is_first else {}
        for number, _ in enumerate(portion.shards, start=portion.done + 1):
            part = group.all_do(
                lambda: _sum(
                    network, estimator, next(shards), lambda count: advance(count * group.size)
                )
            )
            group.add_up(part)
            if group.is_first:
                add_sums(sums, part)
                portion.log.write(sums, number)


def _incomplete(
    network: nn.Module,
    portions: Sequence[Portion],
    logs: ShardLogs,
    advance: Callable[[int], None],
    group: Group,
) -> Iterator[_Begun]:
    for portion in portions:
        log, shards = logs.of(portion), portion.shards(logs.shard_size)
        sums, done = log.read(network) if group.is_first else ({}, 0)
        done = group.number_of_first(done)
        advance(sum(map(len, shards[:done])))
        if done < len(shards):
            yield _Begun(log, sums if done else None, done, shards[done:])


def _sum(
    network: nn.Module,
    estimator: Estimator,
    batches: Iterator[Batch],
    advance: Callable[[int], None],
) -> Sums:
    def counted() -> Iterator[Batch]:
        for batch in batches:
            yield batch
            advance(len(batch))

    try:
        with dead_readers_named():
            return fisher_sums(network, counted(), estimator=estimator)
    except SampleUnreadable as error:
        raise DatasetUnreadable(str(error)) from error


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
