"""Making a backup, while the service runs.

All tables are read in one snapshot, and nothing is collected until the artifacts of that snapshot
have been copied. The manifest comes last: until then, the backup made before is what counts.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from models import backup_lock
from models.artifacts import SHELVES, KeptStore
from models.artifacts.filesystem import FilesystemStore
from models.backup.files import is_copied
from models.backup.manifest import ArtifactFile, Manifest, write_manifest
from models.backup.tables import write_tables
from models.database import Database, check_schema
from models.durable import make_folder_durably, sync_folder
from models.errors import BackupUnderWay
from models.references import find_referenced

TABLES = "tables-"
ARTIFACTS = "artifacts"


@dataclass(frozen=True)
class Made:
    """A backup, and how many of its artifacts had to be copied."""

    manifest: Manifest
    copied: int

    @property
    def damaged(self) -> list[str]:
        """The digests of artifacts that are not in it, because they are damaged or missing."""
        return [artifact.sha256 for artifact in self.manifest.artifacts if artifact.damaged]


def make_backup(database: Database, store: KeptStore, backup: Path) -> Made:
    """Make a backup in a folder, which may hold an earlier one.

    An artifact that is damaged is left out, unless the earlier backup has it whole.
    """
    revision = check_schema(database)
    make_folder_durably(backup)
    with _alone(backup), database.engine.connect() as waiting:
        backup_lock.share(waiting)
        folder = backup / f"{TABLES}{uuid.uuid4().hex}"
        make_folder_durably(folder)
        with _snapshot(database) as connection:
            made_at = datetime.now(UTC)
            tables = write_tables(connection, folder)
            referenced = find_referenced(Session(connection))
        sync_folder(folder)
        kept = FilesystemStore(backup / ARTIFACTS)
        copied = [is_copied(artifact, store, kept) for artifact in referenced]
        backup_lock.require_shared(waiting)
        artifacts = [
            ArtifactFile(sha256=artifact.sha256, size=artifact.size, damaged=was_copied is None)
            for artifact, was_copied in zip(referenced, copied, strict=True)
        ]
        manifest = Manifest(
            made_at=made_at,
            revision=revision,
            folder=folder.name,
            tables=tables,
            artifacts=artifacts,
        )
        write_manifest(manifest, backup)
        _clear_away(backup, kept, manifest)
    return Made(manifest, copied=sum(bool(was_copied) for was_copied in copied))


@contextmanager
def _snapshot(database: Database) -> Iterator[Connection]:
    with database.engine.connect() as connection:
        yield connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )


@contextmanager
def _alone(backup: Path) -> Iterator[None]:
    descriptor = os.open(backup / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BackupUnderWay(f"Another backup is being made in {backup}. Wait for it.") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _clear_away(backup: Path, kept: KeptStore, manifest: Manifest) -> None:
    """Remove what only backups before this one, complete or not, have needed."""
    for folder in backup.glob(f"{TABLES}*"):
        if folder.name != manifest.folder:
            shutil.rmtree(folder)
    needed = {artifact.sha256 for artifact in manifest.artifacts}
    for shelf in SHELVES:
        for sha256 in kept.old(shelf, age_s=-1):
            if sha256 not in needed:
                kept.remove(sha256, age_s=-1)
    kept.remove_unfinished(age_s=-1)
