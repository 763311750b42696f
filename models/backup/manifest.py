"""What a backup consists of, with the digest of each part and its own."""

import hashlib
import json
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from models.durable import write_durably
from models.errors import BackupUnusable

NAME = "manifest.json"


class TableFile(BaseModel):
    """The rows of one table."""

    name: str
    columns: list[str]
    rows: int
    sha256: str
    size: int


class ArtifactFile(BaseModel):
    """One artifact; a damaged one could not be copied."""

    sha256: str
    size: int
    damaged: bool = False


class Manifest(BaseModel):
    """A complete backup. Tables are in the order in which they can be filled."""

    made_at: datetime
    revision: str
    folder: str
    tables: list[TableFile]
    artifacts: list[ArtifactFile]


def write_manifest(manifest: Manifest, backup: Path) -> None:
    """Make `manifest` the backup's: from here on it is complete."""
    content = manifest.model_dump(mode="json")
    whole = {"sha256": _digest(content), "manifest": content}
    write_durably(backup / NAME, json.dumps(whole, indent=1).encode())


def read_manifest(backup: Path) -> Manifest:
    """The backup's manifest, whole."""
    try:
        whole = json.loads((backup / NAME).read_bytes())
        if whole["sha256"] != _digest(whole["manifest"]):
            raise ValueError
        return Manifest.model_validate(whole["manifest"])
    except FileNotFoundError:
        raise BackupUnusable(
            f"There is no complete backup in {backup}: it has no {NAME}, which is written last."
        ) from None
    except (ValueError, LookupError, TypeError, ValidationError):
        raise BackupUnusable(
            f"The {NAME} in {backup} is damaged. Take another copy of this backup."
        ) from None


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
