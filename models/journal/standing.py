"""Whether the database knows everything that has been published."""

import uuid
from collections.abc import Collection, Iterable

from sqlalchemy import ARRAY, Uuid, any_, literal, select
from sqlalchemy.orm import Session

from models.errors import ModelBehind
from models.journal.files import Entry, Journal
from models.records import Checkpoint, ModelState, RegisteredModel


def require_current(session: Session, journal: Journal, name: str) -> None:
    """Raise `ModelBehind` if something was published of a registered model that the database has
    lost, or if it has lost that the model is retired. `name` is that of a registered model.
    """
    model_id, state = session.execute(
        select(RegisteredModel.id, RegisteredModel.state).where(RegisteredModel.name == name)
    ).one()
    if state is ModelState.RETIRED:
        # Nothing of it is served, whatever has been published.
        return
    if model_id in journal.retired(name):
        raise ModelBehind(
            f"The database has been set back: it does not know that {name!r} is retired. Nothing "
            "of it is served, and the steward retires it again."
        )
    lost = missing(session, name, journal.published(name))
    if lost:
        raise ModelBehind(
            f"The database has been set back: it does not know version {lost[-1].version} of "
            f"{name!r}, which has been published. Nothing of it is served until all samples that "
            "were forgotten by then have been forgotten again, which the steward asks for."
        )


def is_current(session: Session, journal: Journal) -> bool:
    """Whether the database knows everything that has been published of all registered models.

    Of retired ones nothing is needed, so it does not matter what it knows of them.
    """
    names = [name for name in journal.models() if not journal.retired(name)]
    published = {(name, entry.by) for name in names for entry in journal.published(name)}
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
