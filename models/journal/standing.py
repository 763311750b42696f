"""Whether the database knows everything that has been published."""

import uuid
from collections.abc import Collection, Iterable

from sqlalchemy import ARRAY, Uuid, any_, literal, select
from sqlalchemy.orm import Session

from models.errors import ModelBehind
from models.journal.files import Entry, Journal
from models.records import Checkpoint, RegisteredModel


def require_current(session: Session, journal: Journal, name: str) -> None:
    """Raise `ModelBehind` if something was published of a registered model that the database has
    lost. `name` is one that a registered model can have.
    """
    lost = missing(session, name, journal.published(name))
    if lost:
        raise ModelBehind(
            f"The database has been set back: it does not know version {lost[-1].version} of "
            f"{name!r}, which has been published. Nothing of it is served until all samples that "
            "were forgotten by then have been forgotten again, which the steward asks for."
        )


def is_current(session: Session, journal: Journal) -> bool:
    """Whether the database knows everything that has been published of all registered models."""
    published = {(name, entry.by) for name in journal.models() for entry in journal.published(name)}
    return published <= _known(session, published)


def missing(session: Session, name: str, entries: Iterable[Entry]) -> list[Entry]:
    """Those of the entries of a registered model that the database does not know, in order."""
    asked = {(name, entry.by): entry for entry in entries}
    return sorted(asked[each] for each in asked.keys() - _known(session, asked.keys()))


def _known(
    session: Session, published: Collection[tuple[str, uuid.UUID]]
) -> set[tuple[str, uuid.UUID]]:
    """The names of models with what made a version of them, a run or the enrolment."""
    # One parameter, however many they are.
    makers = any_(literal([by for _, by in published], ARRAY(Uuid)))
    by_runs = (
        select(RegisteredModel.name, Checkpoint.run_id)
        .join(Checkpoint, Checkpoint.model_id == RegisteredModel.id)
        .where(Checkpoint.run_id == makers)
    )
    by_enrolment = select(RegisteredModel.name, RegisteredModel.id).where(
        RegisteredModel.id == makers
    )
    rows = session.execute(by_runs.union_all(by_enrolment))
    return {(name, by) for name, by in rows if by is not None}
