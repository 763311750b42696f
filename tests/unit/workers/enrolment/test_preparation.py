"""What an enrolment names is looked at before it is opened."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.errors import DatasetUnreadable, EnrolmentRefused, WeightsUnreadable
from models.specifications import Enrolment
from workers.enrolment.preparation import prepare
from workers.enrolment.shardlog import ShardLog
from workers.unlearning.importances import zero_sums


def enrolment(**changed: Any) -> Enrolment:
    return Enrolment.model_validate(
        {
            "name": "digits",
            "architecture": {"name": "small_resnet", "num_classes": 10},
            "weights": "/nowhere/base.safetensors",
            "dataset": {"kind": "digits"},
            "preprocessing": {"size": 8, "mean": [0], "std": [1]},
            **changed,
        }
    )


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    """A pipe that nobody writes to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return str(path)


@pytest.mark.timeout(60)
def test_a_pipe_is_refused_and_not_waited_for(pipe: str) -> None:
    given: list[tuple[Enrolment, type[EnrolmentRefused]]] = [
        (enrolment(weights=pipe), WeightsUnreadable),
        (enrolment(weights="/dev/zero"), WeightsUnreadable),
        (enrolment(dataset={"kind": "arrays", "path": pipe}), DatasetUnreadable),
        (enrolment(dataset={"kind": "images", "manifest": pipe}), DatasetUnreadable),
    ]
    for declared, kind in given:
        with pytest.raises(kind, match="no regular file"):
            prepare(declared, None, torch.device("cpu"))


def test_a_link_to_a_file_is_as_good_as_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not safetensors")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(WeightsUnreadable) as refused:
        prepare(enrolment(weights=str(tmp_path / "link")), None, torch.device("cpu"))
    assert "no regular file" not in str(refused.value)


def test_what_is_noted_of_an_enrolment_is_nobody_elses_to_read(tmp_path: Path) -> None:
    network = nn.Linear(2, 1)
    log = ShardLog(tmp_path / "data" / "enrolments" / "log.safetensors", "")
    log.write(zero_sums(network), 1)
    for folder in (log.path.parent, log.path.parent.parent):
        assert folder.stat().st_mode & 0o077 == 0
