"""After the storm: journal, database, files and audit log are compared.

A checker that finds nothing wrong has looked at every acknowledged request, every item, every
version and every file; it returns how many of each.
"""

import uuid
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.artifacts import Artifact
from models.records import (
    AuditRecord,
    Checkpoint,
    DeletionItem,
    DeletionRequest,
    FisherSums,
    Outcome,
    RegisteredModel,
    RequestState,
    RunState,
    Sample,
    UnlearningRun,
)
from models.registry import find_model
from tests.faults.client import Accepted
from workers.recompute import recompute
from workers.resources import Resources

PUBLISHING = (RunState.PUBLISHED, RunState.NO_DETECTABLE_INFLUENCE, RunState.PUBLISHED_SHORT)


def pending(resources: Resources) -> int:
    """Items that have no outcome yet."""
    with resources.database.reading() as session:
        return (
            session.scalar(select(func.count()).where(DeletionItem.outcome == Outcome.PENDING)) or 0
        )


def ended(resources: Resources) -> list[str]:
    """How the runs have ended, the last one first."""
    with resources.database.reading() as session:
        newest = select(UnlearningRun.state).order_by(UnlearningRun.created_at.desc())
        return [state.value for state in session.scalars(newest)]


def check(resources: Resources, name: str, journal: Sequence[Accepted]) -> Counter[str]:
    """Raise `AssertionError` for the first thing that is not as it was promised."""
    with resources.database.reading() as session:
        model = find_model(session, name)
        counts = Counter(
            requests=_check_requests(session, journal),
            versions=_check_lineage(session, model),
            runs=_check_runs(session, model.id),
            samples=_check_samples(session, model.id, journal),
        )
        # Withdrawn versions too: nothing that was put within the hour is collected.
        kept = [
            *session.scalars(select(Checkpoint).where(Checkpoint.model_id == model.id)),
            *session.scalars(select(FisherSums).where(FisherSums.model_id == model.id)),
        ]
        assert model.digests_sha256 is not None
        assert model.digests_size is not None
        digests = Artifact(model.digests_sha256, model.digests_size)
    for artifact in [digests, *(Artifact(row.sha256, row.size) for row in kept)]:
        # Raises if a byte of it is not what was written.
        resources.store.read(artifact)
        counts["files"] += 1
    if model.head_version:
        came = recompute(name, resources)
        assert came.found == came.published, "the head is not what base, sums and settings make"
    return counts


def _check_requests(session: Session, journal: Sequence[Accepted]) -> int:
    """Nothing acknowledged is lost, and all of it is settled."""
    states = dict(session.execute(select(DeletionRequest.id, DeletionRequest.state)).all())
    found: dict[uuid.UUID, set[str]] = {}
    for request_id, sample_id, outcome in session.execute(
        select(DeletionItem.request_id, DeletionItem.sample_id, DeletionItem.outcome)
    ):
        assert outcome is not Outcome.PENDING, "an item is pending"
        found.setdefault(request_id, set()).add(sample_id)
    for accepted in journal:
        assert states.get(accepted.request_id) is RequestState.SETTLED, "a request is lost"
        assert found[accepted.request_id] == set(accepted.sample_ids), "an item is lost"
    assert len({accepted.request_id for accepted in journal}) == len(journal)
    return len(journal)


def _check_lineage(session: Session, model: RegisteredModel) -> int:
    """One line without gaps; every version published once, by one run, and audited once."""
    rows = session.scalars(
        select(Checkpoint).where(Checkpoint.model_id == model.id).order_by(Checkpoint.version)
    ).all()
    assert [row.version for row in rows] == list(range(len(rows))), "the lineage has gaps"
    assert [row.parent_version for row in rows] == [None, *range(len(rows) - 1)], "a fork"
    assert model.head_version == rows[-1].version
    assert len({row.run_id for row in rows}) == len(rows), "a run has published twice"
    forgotten = [row.forgotten_count for row in rows]
    assert forgotten == sorted(forgotten), "a version has forgotten less than its parent"
    audited = Counter(
        session.scalars(
            select(AuditRecord.details["version"].as_integer()).where(
                AuditRecord.event == "checkpoint.published", AuditRecord.model_id == model.id
            )
        )
    )
    assert audited == Counter(row.version for row in rows[1:]), "the audit log tells otherwise"
    return len(rows) - 1


def _check_runs(session: Session, model_id: uuid.UUID) -> int:
    runs = session.scalars(select(UnlearningRun).where(UnlearningRun.model_id == model_id)).all()
    assert not [run for run in runs if run.state is RunState.RUNNING], "a run never ended"
    published = [run for run in runs if run.state in PUBLISHING]
    versions = [run.version for run in published]
    assert len(versions) == len(set(versions)), "two runs published one version"
    epochs = [run.epoch for run in runs]
    assert len(epochs) == len(set(epochs)), "two runs had one epoch"
    return len(runs)


def _check_samples(session: Session, model_id: uuid.UUID, journal: Sequence[Accepted]) -> int:
    """What was asked for is forgotten, and nothing else is."""
    forgotten = set(
        session.scalars(
            select(Sample.sample_id).where(
                Sample.model_id == model_id, Sample.forgotten_version.is_not(None)
            )
        )
    )
    asked = {sample_id for accepted in journal for sample_id in accepted.sample_ids}
    set_aside = session.scalar(
        select(func.count()).where(DeletionItem.outcome.in_((Outcome.FAILED, Outcome.QUARANTINED)))
    )
    assert not set_aside, f"{set_aside} healthy samples were set aside"
    assert asked <= forgotten, "a sample that was asked for is not forgotten"
    # What was accepted without the client ever learning so may be forgotten besides.
    everything = set(session.scalars(select(DeletionItem.sample_id)))
    assert forgotten <= everything, "a sample is forgotten that nobody asked for"
    return len(forgotten)
