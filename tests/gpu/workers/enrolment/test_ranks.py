"""Enrolment by one process for each GPU there is, which share their sums through nccl."""

from pathlib import Path

import torch

from models.settings import Settings
from tests.conftest import Digits
from tests.gpu.networks import on_cpu
from tests.integration.workers.enrolment.test_ranks import SHARD, SHARDS, require_equal
from workers.enrolment.preparation import prepare
from workers.enrolment.ranks import sum_in_ranks
from workers.enrolment.shards import ShardLog, sum_shards
from workers.unlearning.estimators import estimator_of


def test_as_many_processes_as_gpus_sum_what_this_process_sums_alone(
    device: torch.device, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    all_of_them = settings.model_copy(
        update={
            "device": device.type,
            "processes": torch.cuda.device_count(),
            "shard_size": SHARD,
        }
    )
    log = ShardLog(tmp_path / "log.safetensors")
    sum_in_ranks(digits.enrolment, log.path, all_of_them, lambda _count: None)

    prepared = prepare(digits.enrolment, None, device)
    alone = sum_shards(
        prepared.network,
        estimator_of(digits.enrolment.estimator),
        prepared.indexed.dataset,
        prepared.indexed.training(),
        ShardLog(tmp_path / "alone.safetensors"),
        all_of_them,
        lambda _count: None,
    )
    require_equal(on_cpu(log.read_all(prepared.network, SHARDS)), on_cpu(alone))
