"""Enrolment by one process for each GPU there is, which share their sums through nccl."""

from pathlib import Path

import torch

from models.settings import Settings
from tests.conftest import Digits
from tests.gpu.networks import on_cpu
from tests.integration.workers.enrolment.test_ranks import SHARD, require_equal, sums_of
from tests.support.preparing import prepared_on
from workers.enrolment.job import Job
from workers.enrolment.portions import Portion
from workers.enrolment.ranks import sum_in_ranks
from workers.enrolment.shardlog import ShardLogs


def test_as_many_processes_as_gpus_sum_what_this_process_sums_alone(
    device: torch.device, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    enrolment, prepared = digits.enrolment, prepared_on(device, digits.enrolment)
    portion = Portion(None, prepared.indexed.training())
    alone = settings.model_copy(update={"device": device.type})
    together = alone.model_copy(update={"processes": torch.cuda.device_count()})
    logs = ShardLogs(tmp_path / "log", SHARD)
    sum_in_ranks(Job.of(enrolment, prepared, [], logs), together, lambda _count: None)
    found = logs.read_all(portion, prepared.network)
    logs_alone = ShardLogs(tmp_path / "alone", SHARD)
    expected = sums_of(enrolment, prepared, [portion], logs_alone, alone)[None]
    require_equal(on_cpu(found), on_cpu(expected))
