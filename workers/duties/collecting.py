"""Collecting what nobody will ever refer to: files of runs that died, sums that were replaced.

An artifact goes when no row refers to it and it was put longer ago than `collect_after_s`, and
before anything that is still running began: what a run has put and not named yet is younger than
the run. What was referred to once is kept for `collect_after_s` longer, for those who still read it
and for databases that are set back by a little. Nothing goes while the database is older than what
has been published, or while a backup is being made.
"""

import time
from contextlib import suppress
from datetime import datetime

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from models.artifacts import SHELVES
from models.backup_lock import holds_alone
from models.journal import is_current, open_journal
from models.records import ArtifactCheck, ModelState, RegisteredModel, RunState, UnlearningRun
from models.references import find_referenced, is_referenced
from workers.duties.stewardship import Stewardship

# Between what the database and what the store call the same moment.
SLACK_S = 60.0
# Artifacts that one round removes at most.
MOST_AT_ONCE = 100


def collect_unfinished(stewardship: Stewardship) -> int:
    """Remove temporary files that nobody writes to any more; return how many."""
    age_s = stewardship.settings.collect_after_s
    journal = open_journal(stewardship.settings.artifact_store_url)
    return stewardship.store.remove_unfinished(age_s=age_s) + journal.remove_unfinished(age_s=age_s)


def collect_unreferenced(stewardship: Stewardship) -> int:
    """Look through the next shelf of the store; return how many artifacts were removed."""
    memory = stewardship.memory
    shelf = SHELVES[memory.shelves_done % len(SHELVES)]
    memory.shelves_done += 1
    return collect_shelf(shelf, stewardship)


def collect_shelf(shelf: str, stewardship: Stewardship) -> int:
    """Remove what nobody refers to from one shelf; return how many artifacts that were."""
    database, store = stewardship.database, stewardship.store
    journal = open_journal(stewardship.settings.artifact_store_url)
    with database.reading() as session:
        if not is_current(session, journal):
            return 0
        age_s = max(stewardship.settings.collect_after_s, _age_of_work(session) + SLACK_S)
    old = store.old(shelf, age_s=age_s)
    removed = 0
    with database.transaction() as session:
        if not holds_alone(session):
            return 0
        _begin_respite(session, shelf, stewardship)
        needed = {artifact.sha256 for artifact in find_referenced(session, shelf)}
        for sha256 in [each for each in old if each not in needed][:MOST_AT_ONCE]:
            # A row may have been written meanwhile; what was given a respite is not old any more.
            if not session.scalar(select(is_referenced(sha256))):
                removed += store.remove(sha256, age_s=age_s)
    return removed


def collect_shard_logs(stewardship: Stewardship) -> int:
    """Remove what enrolments noted that nobody has taken up for as long as one may take."""
    folder = stewardship.settings.data_dir / "enrolments"
    with stewardship.database.reading() as session:
        if session.scalar(select(_enrolling().exists())):
            return 0
    removed = 0
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                age_s = time.time() - path.stat().st_mtime
                if age_s > stewardship.settings.enrolment_limit_s:
                    path.unlink()
                    removed += 1
    return removed


def _begin_respite(session: Session, shelf: str, stewardship: Stewardship) -> None:
    """Artifacts that were referred to until lately count as put now."""
    lately = session.scalars(
        select(ArtifactCheck.sha256)
        .where(ArtifactCheck.sha256.startswith(shelf), ~is_referenced(ArtifactCheck.sha256))
        .with_for_update(skip_locked=True)
    ).all()
    for sha256 in lately:
        stewardship.store.refresh(sha256)
    session.execute(delete(ArtifactCheck).where(ArtifactCheck.sha256.in_(lately)))


def _age_of_work(session: Session) -> float:
    """For how long what is still running has been running, in seconds."""
    running = select(UnlearningRun.created_at).where(UnlearningRun.state == RunState.RUNNING)
    since = running.union_all(_enrolling()).subquery()
    age = func.extract("epoch", func.clock_timestamp() - func.min(since.c.created_at))
    return float(session.scalar(select(age)) or 0)


def _enrolling() -> Select[datetime]:
    return select(RegisteredModel.created_at).where(RegisteredModel.state == ModelState.ENROLLING)
