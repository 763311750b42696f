"""The database records, one file each; importing this package knows them all."""

from models.records.artifact_check import ArtifactCheck
from models.records.audit_record import AuditRecord
from models.records.base import Base
from models.records.checkpoint import Checkpoint
from models.records.deletion_item import DeletionItem
from models.records.deletion_request import DeletionRequest
from models.records.fisher_sums import FisherSums
from models.records.lease import Lease
from models.records.registered_model import RegisteredModel
from models.records.run_report import RunReport
from models.records.sample import Sample
from models.records.states import (
    ModelState,
    Outcome,
    Phase,
    RequestMode,
    RequestState,
    RunState,
    Split,
    SumsKind,
)
from models.records.unlearning_run import UnlearningRun

__all__ = [
    "ArtifactCheck",
    "AuditRecord",
    "Base",
    "Checkpoint",
    "DeletionItem",
    "DeletionRequest",
    "FisherSums",
    "Lease",
    "ModelState",
    "Outcome",
    "Phase",
    "RegisteredModel",
    "RequestMode",
    "RequestState",
    "RunReport",
    "RunState",
    "Sample",
    "Split",
    "SumsKind",
    "UnlearningRun",
]
