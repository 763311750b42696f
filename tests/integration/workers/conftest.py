"""Posting and working off deletion requests, for tests of what workers do."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sqlalchemy import update
from torch import Tensor

from app.intake.accepting import Intake
from app.intake.posted import read_posted
from app.security import Principal
from models.artifacts import Artifact
from models.doorbell import Job
from models.records import (
    Checkpoint,
    DeletionRequest,
    RegisteredModel,
    UnlearningRun,
)
from models.registry import find_model
from models.settings import Scope
from models.specifications import Policy
from tests.conftest import SMALL_GATE, work
from workers.resources import Resources
from workers.tensors import read_tensors

PIPELINE = Principal(name="pipeline", scopes=frozenset({Scope.REQUESTS}))


class Story:
    """What happens to the registered model `digits` in one test."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.database = resources.database

    def model(self) -> RegisteredModel:
        """The row of the registered model."""
        with self.database.reading() as session:
            return find_model(session, "digits")

    def set_policy(self, **policy: Any) -> None:
        """Another policy from now on: the default one, but for small probes and what is given."""
        gate = {**SMALL_GATE, **policy.pop("gate", {})}
        checked = Policy.model_validate({"probe_size": 200, "gate": gate, **policy})
        with self.database.transaction() as session:
            model = find_model(session, "digits")
            model.policy = checked.model_dump(mode="json", by_alias=True)

    def drop_digests(self) -> None:
        """As if all had been enrolled before images had any."""
        with self.database.transaction() as session:
            session.execute(update(RegisteredModel).values(digests_sha256=None, digests_size=None))

    def post(
        self, sample_ids: Sequence[str], mode: str = "delete", model: str = "digits"
    ) -> uuid.UUID:
        """Post a deletion request, as the gateway does."""
        body = json.dumps({"model": model, "sample_ids": list(sample_ids), "mode": mode})
        limit = self.resources.settings.max_inline_ids
        accepted = Intake(self.database).alone(read_posted(body.encode(), None, PIPELINE, limit))
        if accepted.ring is not None:
            self.resources.doorbell.ring(Job.UNLEARN, accepted.ring)
        return accepted.answer.id

    def forget(self, sample_ids: Sequence[str]) -> DeletionRequest:
        """Post and work off."""
        request_id = self.post(sample_ids)
        work(self.resources.settings)
        with self.database.reading() as session:
            return session.get_one(DeletionRequest, request_id)

    def runs(self) -> list[UnlearningRun]:
        """All runs, oldest first."""
        with self.database.reading() as session:
            return list(
                session.query(UnlearningRun).order_by(UnlearningRun.created_at, UnlearningRun.epoch)
            )

    def checkpoints(self) -> list[Checkpoint]:
        """All versions in order."""
        with self.database.reading() as session:
            return list(session.query(Checkpoint).order_by(Checkpoint.version))

    def path(self, version: int) -> Path:
        """The file of a version."""
        row = self.checkpoints()[version]
        return self.resources.store.sized_path(Artifact(row.sha256, row.size))

    def weights(self, version: int) -> dict[str, Tensor]:
        """The weights of a version."""
        return read_tensors(self.path(version))[0]


def share_that_differs(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The share of weights that differ by more than 1e-5 of the greater of the two."""
    assert first.keys() == second.keys()
    different = total = 0
    for name, tensor in first.items():
        if not tensor.is_floating_point():
            assert torch.equal(tensor, second[name])
            continue
        a, b = tensor.double(), second[name].double()
        different += int(((a - b).abs() > 1e-5 * torch.maximum(a.abs(), b.abs())).sum())
        total += a.numel()
    return different / total
