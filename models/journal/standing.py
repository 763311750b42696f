"""Whether the database knows everything that has been published."""

import uuid
from collections.abc import Iterable

from sqlalchemy import select
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
    return not any(missing(session, name, journal.published(name)) for name in journal.models())


def missing(session: Session, name: str, entries: Iterable[Entry]) -> list[Entry]:
    """Those of the entries of a registered model that the database does not know, in order."""
    by_id = {entry.by: entry for entry in entries}
    return sorted(by_id[each] for each in by_id.keys() - _known(session, name, by_id.keys()))


def _known(session: Session, name: str, identities: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    checkpoints = (
        select(Checkpoint.run_id)
        .join(RegisteredModel, RegisteredModel.id == Checkpoint.model_id)
        .where(RegisteredModel.name == name, Checkpoint.run_id.in_(identities))
    )
    # A base is known by the registered model itself.
    itself = select(RegisteredModel.id).where(RegisteredModel.name == name)
    return {each for each in session.scalars(checkpoints.union_all(itself)) if each is not None}
