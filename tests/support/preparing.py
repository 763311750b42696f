"""What an enrolment has found before its long pass, and what its processes are told of it."""

from pathlib import Path

import torch

from models.specifications import Enrolment
from workers.datasets.digests import digest_images
from workers.enrolment.job import Job
from workers.enrolment.preparation import Prepared, prepare
from workers.enrolment.shardlog import ShardLogs


def prepared_on(device: torch.device, enrolment: Enrolment) -> Prepared:
    """What is to be summed on that device, of images as they are now."""
    prepared = prepare(enrolment, None, device)
    source, count = prepared.indexed.dataset.source, len(prepared.indexed.rows.sample_ids)
    return prepared.of_images(digest_images(source, count, lambda: None))


def prepared_on_cpu(enrolment: Enrolment) -> Prepared:
    """What this process would sum."""
    return prepared_on(torch.device("cpu"), enrolment)


def unfounded_job(folder: Path) -> Job:
    """A job that nobody gets as far as to look into: neither weights nor images are there."""
    enrolment = Enrolment.model_validate(
        {
            "name": "digits",
            "architecture": {"name": "small_resnet", "num_classes": 10},
            "weights": "/nowhere/base.safetensors",
            "dataset": {"kind": "digits"},
            "preprocessing": {"size": 8, "mean": [0], "std": [1]},
        }
    )
    images = torch.zeros((0, 8), dtype=torch.uint8)
    return Job(enrolment, [], ShardLogs(folder / "log", 1), "cpu", "w", "m", images)
