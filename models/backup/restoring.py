"""Restoring a backup into an empty database, and the artifacts beside it.

Everything is checked before anything is written. The rows come in one transaction, after the files:
cut short at any point, restoring can be done again. What was published after the backup is then
asked for again, if the store still has the journal of it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import OperationalError

from models import backup_lock
from models.artifacts import Artifact, KeptStore
from models.artifacts.filesystem import FilesystemStore
from models.audit.events import Event
from models.backup.files import copy_artifact
from models.backup.making import ARTIFACTS
from models.backup.manifest import Manifest, read_manifest
from models.backup.tables import check_table, fill_tables
from models.database import Database, alembic_config, migrate
from models.errors import BackupUnusable, DatabaseNotEmpty
from models.journal import Journal, is_current, keep_journal
from models.journal.replay import REPLAYING
from models.records import Base, RegisteredModel
from models.scrubbing import fault_of

# What is counted goes on from the time, as so many for each second since 1970. Nothing counts as
# fast, so that is beyond whatever the lost database has come to; and beyond another one that was
# restored from the same backup, for which a constant would have led to the same numbers.
A_SECOND = 1 << 16
# The numbers of audit records have 48 bits in their announcement (migration 0005), some of which
# are left to count with if the clock is far wrong.
FARTHEST = (1 << 48) - (1 << 40)
NOW = "extract(epoch FROM clock_timestamp())"


@dataclass(frozen=True)
class Restored:
    """What was restored, and what came after the backup."""

    manifest: Manifest
    copied: int
    # Registered models of which publications are asked for again.
    replayed: list[str]
    # Registered models that the backup does not know; they have to be enrolled again.
    lost: list[str]
    # Whether nothing has been published that the database does not know.
    current: bool


def restore_backup(
    database: Database, store: KeptStore, journal: Journal, backup: Path
) -> Restored:
    """Restore database and artifacts.

    Raises `BackupUnusable` or `DatabaseNotEmpty`, and has changed nothing then.
    """
    manifest = _checked(backup)
    _require_empty(database, manifest)
    with database.engine.connect() as waiting:
        backup_lock.share(waiting)
        copied = _copy_files(manifest, backup, store)
        if not inspect(database.engine).has_table("alembic_version"):
            command.upgrade(alembic_config(database.url), manifest.revision)
        with database.engine.begin() as connection:
            fill_tables(connection, manifest.tables, backup / manifest.folder)
            _begin_anew(connection, manifest)
    migrate(database.url)
    asked = set(keep_journal(database, journal))
    with database.reading() as session:
        names = {row.id: row.name for row in session.scalars(select(RegisteredModel))}
        return Restored(
            manifest,
            copied,
            replayed=sorted(names[model_id] for model_id in asked),
            lost=sorted(set(journal.models()) - set(names.values())),
            current=is_current(session, journal),
        )


def restore_files(store: KeptStore, backup: Path) -> int:
    """Put back the artifacts of a backup that are missing or damaged; return how many."""
    return _copy_files(_checked(backup), backup, store)


def _checked(backup: Path) -> Manifest:
    """The manifest of a backup of which every byte is what was written."""
    manifest = read_manifest(backup)
    for table in manifest.tables:
        check_table(table, backup / manifest.folder)
    kept = FilesystemStore(backup / ARTIFACTS)
    for artifact in _whole(manifest):
        fault = fault_of(artifact, kept)
        if fault is not None:
            raise BackupUnusable(f"This backup is damaged. {fault}")
    return manifest


def _require_empty(database: Database, manifest: Manifest) -> None:
    scripts = ScriptDirectory.from_config(alembic_config(database.url))
    try:
        scripts.get_revision(manifest.revision)
    except CommandError:
        raise BackupUnusable(
            f"The backup was made at schema {manifest.revision}, which this program does not know: "
            "it is older than the one that made it. Restore with a newer one."
        ) from None
    try:
        with database.engine.connect() as connection:
            found = set(inspect(connection).get_table_names())
            if not found:
                return
            ours = found & set(Base.metadata.tables)
            filled = [name for name in sorted(ours) if _has_rows(connection, name)]
            if filled or "alembic_version" not in found:
                raise DatabaseNotEmpty(
                    f"The database is not empty: it has {', '.join(filled or sorted(found))}. A "
                    "backup is restored into an empty one; make a new database for it."
                )
            revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except OperationalError as error:
        raise BackupUnusable(
            "The database cannot be reached, so nothing was restored. Check DATABASE_URL."
        ) from error
    if revision != manifest.revision:
        raise DatabaseNotEmpty(
            f"The database is at schema {revision}, the backup is of {manifest.revision}. Give it "
            "a database without any tables; it is brought up to date afterwards."
        )


def _has_rows(connection: Connection, table: str) -> bool:
    return bool(connection.scalar(text(f'SELECT EXISTS (SELECT FROM "{table}")')))  # noqa: S608


def _copy_files(manifest: Manifest, backup: Path, store: KeptStore) -> int:
    kept = FilesystemStore(backup / ARTIFACTS)
    return sum(copy_artifact(artifact, kept, store) for artifact in _whole(manifest))


def _whole(manifest: Manifest) -> list[Artifact]:
    return [Artifact(each.sha256, each.size) for each in manifest.artifacts if not each.damaged]


def _begin_anew(connection: Connection, manifest: Manifest) -> None:
    """Let no worker of the lost database write to this one, and put on record what was done.

    In SQL, since the schema may be an older one than this program's.
    """
    beyond = {"beyond": _beyond_what_was_lost(connection)}
    connection.execute(
        text(
            "UPDATE lease SET epoch = greatest(epoch + 1, :beyond), holder = NULL, "
            "expires_at = to_timestamp(0)"
        ),
        beyond,
    )
    # Whoever has followed the lost log to its end is brought what comes now.
    sequence = "pg_get_serial_sequence('audit_record', 'sequence')"
    connection.execute(
        text(f"SELECT setval({sequence}, greatest(nextval({sequence}), :beyond))"), beyond
    )
    details = {"made_at": manifest.made_at.isoformat(), "revision": manifest.revision}
    connection.execute(
        text(
            "INSERT INTO audit_record (event, actor, details) "
            "VALUES (:event, :actor, cast(:details AS jsonb))"
        ),
        {
            "event": Event.DATABASE_RESTORED.value,
            "actor": REPLAYING,
            "details": json.dumps(details),
        },
    )


def _beyond_what_was_lost(connection: Connection) -> int:
    """A number that nothing in the lost database can have counted to."""
    now = connection.scalar(text(f"SELECT {NOW}"))
    assert now is not None
    return min(int(now * A_SECOND), FARTHEST)
