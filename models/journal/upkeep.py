"""Keeping the journal and the database in step; any number may do it at once, and again.

Nothing is decided here that does not follow from what the database says in one statement, and
everything can be cut short at any point: the next time finds what is left.
"""

import logging
import uuid
from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.database import Database
from models.errors import ArtifactDamaged
from models.journal.files import EARLIER, REPLAYED, Entry, Journal
from models.journal.preparing import find_preparing
from models.journal.replay import REPLAYING, ask_again, is_made_up_for
from models.journal.standing import missing
from models.records import Checkpoint, ModelState, RegisteredModel, Sample
from models.retirement import retire

log = logging.getLogger(__name__)


def keep_journal(database: Database, journal: Journal) -> list[uuid.UUID]:
    """Bring the journal up to the database, and have replayed what the database has lost.

    Returns the registered models that now have something to do.
    """
    _record_retired(database, journal)
    with database.reading() as session:
        heads = session.execute(
            select(
                RegisteredModel.id,
                RegisteredModel.name,
                Checkpoint.version,
                func.coalesce(Checkpoint.run_id, Checkpoint.model_id),
            )
            .join(Checkpoint, Checkpoint.model_id == RegisteredModel.id)
            .where(
                RegisteredModel.state == ModelState.ACTIVE,
                RegisteredModel.head_version == Checkpoint.version,
            )
            .order_by(RegisteredModel.name)
        ).all()
    asked = []
    for model_id, name, version, by in heads:
        try:
            if model_id in journal.retired(name):
                _retire_again(database, name)
                continue
            if journal.published(name) == [Entry(version, by)] and not journal.prepared(name):
                # As it nearly always is.
                continue
            if _keep(database, journal, name):
                asked.append(model_id)
        except ArtifactDamaged as error:
            # It stays behind, and is not served; the others are kept all the same.
            log.error("%s", error)
    return asked


def _record_retired(database: Database, journal: Journal) -> None:
    """Record which registered models are retired: a database that is set back does not know."""
    with database.reading() as session:
        retired = session.execute(
            select(RegisteredModel.name, RegisteredModel.id).where(
                RegisteredModel.state == ModelState.RETIRED
            )
        ).all()
    for name, model_id in retired:
        if model_id not in journal.retired(name):
            journal.retire(name, model_id)


def _retire_again(database: Database, name: str) -> None:
    with database.transaction() as session:
        retire(session, name, REPLAYING)


def _keep(database: Database, journal: Journal, name: str) -> bool:
    """Bring the journal of one registered model up; whether it now has something to do."""
    _settle_prepared(database, journal, name)
    asked = _replay_missing(database, journal, name)
    _write_missing(database, journal, name)
    _lay_aside(database, journal, name)
    return asked


def _settle_prepared(database: Database, journal: Journal, name: str) -> None:
    """Find out which of the prepared publications have been committed."""
    prepared = journal.prepared(name)
    if not prepared:
        return
    with database.reading() as session:
        found = find_preparing(session, [entry.by for entry in prepared])
    for entry in prepared:
        # A database that does not know the run is older; it may well have been committed.
        run = found.get(entry.by)
        if run is None or run.may_have_published:
            journal.confirm(name, entry)
        elif not run.is_running:
            journal.discard(name, entry)


def _replay_missing(database: Database, journal: Journal, name: str) -> bool:
    """Ask for what the database has lost, and lay aside what has been made up for."""
    above = journal.published(name)
    with database.reading() as session:
        if not missing(session, name, above):
            return False
        # Those that lie above go last: as long as one lies there, the model is behind.
        lost = missing(session, name, journal.earlier(name)) + missing(session, name, above)
    asked = False
    for entry in lost:
        samples = journal.samples(name, entry)
        with database.transaction() as session:
            asked |= bool(samples) and ask_again(session, name, entry, samples)
    for entry in lost:
        with database.reading() as session:
            if not is_made_up_for(session, name, entry, journal.samples(name, entry)):
                break
        journal.lay_aside(name, entry, REPLAYED)
    return asked


def _write_missing(database: Database, journal: Journal, name: str) -> None:
    """Record what the database has and the journal has not: it is new, or was restored."""
    above = set(journal.published(name))
    with database.reading() as session:
        head, *before = _lineage(session, name)
        if head in above:
            return
        # The head last: it stands for all the others.
        for entry in (*set(before).difference(above, journal.earlier(name)), head):
            journal.write_published(name, entry, _forgotten_by(session, name, entry))


def _lay_aside(database: Database, journal: Journal, name: str) -> None:
    """Leave the last publication, and those that the database does not know."""
    above = journal.published(name)
    if len(above) < 2:
        return
    with database.reading() as session:
        head, *before = _lineage(session, name)
    if head in above:
        for entry in set(above).intersection(before):
            journal.lay_aside(name, entry, EARLIER)


def _lineage(session: Session, name: str) -> list[Entry]:
    """All publications that the database knows, the head first."""
    rows = session.execute(
        select(Checkpoint.version, Checkpoint.run_id, Checkpoint.model_id)
        .join(RegisteredModel, RegisteredModel.id == Checkpoint.model_id)
        .where(RegisteredModel.name == name)
        .order_by(Checkpoint.version.desc())
    )
    return [Entry(version, run_id or model_id) for version, run_id, model_id in rows]


def _forgotten_by(session: Session, name: str, entry: Entry) -> Iterable[str]:
    return session.scalars(
        select(Sample.sample_id)
        .join(RegisteredModel, RegisteredModel.id == Sample.model_id)
        .where(RegisteredModel.name == name, Sample.forgotten_version == entry.version)
        .order_by(Sample.position)
    )
