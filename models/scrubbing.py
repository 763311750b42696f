"""Looking whether stored files still are what was written, and keeping what was found.

`checked_at` is when somebody last began or ended to read the file: whoever begins claims the row
for the time being, so that several do not read the same one. A fault stays on record until the file
has been found whole again.
"""

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.artifacts import Artifact, ArtifactStore
from models.artifacts.hashing import PIECE, HashedReader, hashing
from models.artifacts.store import require_digest
from models.audit.append import append
from models.audit.events import Event
from models.database import Database
from models.errors import ArtifactDamaged, ArtifactMissing
from models.records import ArtifactCheck
from models.references import find_referenced, find_uses, is_referenced, referenced

log = logging.getLogger(__name__)

# A small store is not to be read all day long.
REST = timedelta(days=1)
# Sooner, since somebody may be restoring it.
REST_IF_DAMAGED = timedelta(minutes=1)


def note_new(session: Session) -> None:
    """Make rows for artifacts that have none yet."""
    new = referenced().subquery()
    known = select(ArtifactCheck.sha256).where(ArtifactCheck.sha256 == new.c.sha256).exists()
    rows = select(new.c.sha256, func.min(new.c.size)).where(~known).group_by(new.c.sha256)
    session.execute(
        insert(ArtifactCheck).from_select(["sha256", "size"], rows).on_conflict_do_nothing()
    )


def count_faults(session: Session) -> int:
    """How many of the artifacts that are needed were found damaged or missing."""
    query = select(func.count()).select_from(ArtifactCheck)
    faulty = query.where(ArtifactCheck.fault.is_not(None), is_referenced(ArtifactCheck.sha256))
    return session.scalar(faulty) or 0


def claim_next(session: Session) -> Artifact | None:
    """The artifact that nobody has looked at for longest; None if all have been, lately."""
    rested = or_(
        ArtifactCheck.checked_at.is_(None),
        ArtifactCheck.checked_at < func.now() - REST,
        ArtifactCheck.fault.is_not(None)
        & (ArtifactCheck.checked_at < func.now() - REST_IF_DAMAGED),
    )
    row = session.scalar(
        select(ArtifactCheck)
        .where(rested, is_referenced(ArtifactCheck.sha256))
        .order_by(ArtifactCheck.checked_at.nulls_first(), ArtifactCheck.sha256)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if row is None:
        return None
    session.execute(
        update(ArtifactCheck)
        .where(ArtifactCheck.sha256 == row.sha256)
        .values(checked_at=func.clock_timestamp())
    )
    return Artifact(row.sha256, row.size)


def record_check(session: Session, artifact: Artifact, fault: str | None, actor: str) -> None:
    """Keep what was found; say so on the audit log and in the log if it is something new."""
    row = session.scalar(
        select(ArtifactCheck)
        .where(ArtifactCheck.sha256 == artifact.sha256, is_referenced(artifact.sha256))
        .with_for_update()
    )
    if row is None:
        return
    row.checked_at = session.scalar(select(func.clock_timestamp()))
    if row.fault == fault:
        return
    if fault is not None:
        # The sentence names the digest, which is no secret.
        log.warning("%s", fault)
    else:
        log.warning("Artifact %s is whole again.", artifact.sha256)
    if (row.fault is None) is not (fault is None):
        append(
            session,
            Event.ARTIFACT_WHOLE_AGAIN if fault is None else Event.ARTIFACT_DAMAGED,
            actor=actor,
            details={"sha256": artifact.sha256, "size": artifact.size},
        )
    row.fault = fault and fault[:500]


@dataclass(frozen=True)
class Found:
    """What reading an artifact has shown: nothing wrong if `fault` is None."""

    artifact: Artifact
    used_for: list[str]
    fault: str | None


def scrub_everything(database: Database, store: ArtifactStore, actor: str) -> Iterator[Found]:
    """Read every artifact that is needed, as fast as it goes, and keep what was found."""
    store.check()
    with database.transaction() as session:
        note_new(session)
    with database.snapshot() as session:
        artifacts = find_referenced(session)
        uses = find_uses(session)
    for artifact in artifacts:
        fault = fault_of(artifact, store)
        with database.transaction() as session:
            record_check(session, artifact, fault, actor)
        yield Found(artifact, uses[artifact.sha256], fault)


def fault_of(artifact: Artifact, store: ArtifactStore) -> str | None:
    """Read all of an artifact; what is wrong with it, or None."""
    reading = read_through(artifact, store)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            fault: str | None = end.value
            return fault


def read_through(artifact: Artifact, store: ArtifactStore) -> Generator[int, None, str | None]:
    """Read an artifact piece by piece, yielding how many bytes; returns what is wrong with it."""
    try:
        yield from _pieces(artifact, store.sized_path(artifact))
    except (ArtifactDamaged, ArtifactMissing) as error:
        return str(error)
    except OSError as error:
        return f"Artifact {artifact.sha256} cannot be read: {error.strerror}. Check the disks."
    return None


def _pieces(artifact: Artifact, path: Path) -> Iterator[int]:
    with path.open("rb", buffering=0) as file, hashing() as digest:
        reader = HashedReader(file, digest)
        buffer = memoryview(bytearray(min(PIECE, artifact.size)))
        while reader.position < artifact.size:
            piece = buffer[: artifact.size - reader.position]
            try:
                reader.read_into(piece)
            except EOFError:
                break
            yield len(piece)
        require_digest(artifact, reader.hexdigest())
