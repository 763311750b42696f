"""Publication: the transaction that moves the head.

The files are in the store before it begins, and the journal has a record of it before it commits.
It first locks the lease and compares the epoch: a stale worker changes nothing.
"""

from dataclasses import dataclass

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.artifacts import Artifact
from models.audit.events import Event
from models.errors import LeaseLost
from models.failpoints import Failpoint, failpoint
from models.journal import Entry, open_journal
from models.records import Checkpoint, FisherSums, RegisteredModel, SumsKind
from workers.judging.verdicts import Judged
from workers.leases import give_back
from workers.resources import Resources
from workers.runs import Run
from workers.subjects import KeptSums
from workers.transactions.auditing import record
from workers.transactions.endings import Timings, end_judged, require_wanted, settle
from workers.transactions.settlement import count_weakened
from workers.unlearning.importances import Provenance
from workers.weighing import Weighed


@dataclass(frozen=True)
class Stored:
    """The files of a new version: its checkpoint, and the sums of the labels that it touched."""

    checkpoint: Artifact
    sums: dict[int, KeptSums]


def publish(
    run: Run,
    weighed: Weighed,
    provenance: Provenance,
    stored: Stored,
    judged: Judged,
    timings: Timings,
    resources: Resources,
) -> None:
    """Move the head, insert checkpoint and sums, settle the items, record it: all or nothing."""
    version = run.parent_version + 1
    journal, entry = open_journal(resources.settings.artifact_store_url), Entry(version, run.id)
    with resources.database.transaction() as session:
        row = require_wanted(session, run)
        _move_head(session, run, version)
        _withdraw_earlier(session, run)
        for label, kept in stored.sums.items():
            _keep_sums(session, run, label, kept, provenance, version)
        settled = settle(session, run, weighed, version, weakened=judged.weakened)
        session.add(
            Checkpoint(
                model_id=run.model_id,
                version=version,
                parent_version=run.parent_version,
                run_id=run.id,
                sha256=stored.checkpoint.sha256,
                size=stored.checkpoint.size,
                forgotten_count=sum(cohort.samples for cohort in judged.verdict.cohorts),
                # With those that an earlier version has, and of which nothing new is known.
                weakened_count=count_weakened(session, run.model_id),
            )
        )
        end_judged(session, row, judged.state, judged, timings, version)
        record(
            session,
            Event.CHECKPOINT_PUBLISHED,
            run,
            resources,
            {
                "version": version,
                "sha256": stored.checkpoint.sha256,
                "outcome": judged.state.value,
                **settled,
                "unreadable": len(weighed.unusable),
                "weights_dampened": judged.verdict.weights.dampened,
            },
        )
        give_back(session, run.model_id, run.epoch)
        # On disk before anybody can see the version: should the database be set back, it is known.
        forgets = [sample.sample_id for sample in (*weighed.trained, *weighed.holdout)]
        journal.prepare(run.enrolment.name, entry, forgets)
        failpoint(Failpoint.PUBLISH_BEFORE_COMMIT)
    failpoint(Failpoint.PUBLISH_AFTER_COMMIT)
    journal.confirm(run.enrolment.name, entry)


def _move_head(session: Session, run: Run, version: int) -> None:
    moved = session.execute(
        update(RegisteredModel)
        .where(
            RegisteredModel.id == run.model_id,
            RegisteredModel.head_version == run.parent_version,
        )
        .values(head_version=version)
        .returning(RegisteredModel.id)
    )
    if moved.scalar() is None:
        raise LeaseLost("The head has moved since this run began: another worker has published.")


def _withdraw_earlier(session: Session, run: Run) -> None:
    session.execute(
        update(Checkpoint)
        .where(Checkpoint.model_id == run.model_id, Checkpoint.withdrawn_at.is_(None))
        .values(withdrawn_at=func.now())
    )


def _keep_sums(
    session: Session,
    run: Run,
    label: int,
    kept: KeptSums,
    provenance: Provenance,
    version: int,
) -> None:
    values = {
        "version": version,
        "sample_count": kept.count,
        "provenance": vars(provenance),
        "sha256": kept.artifact.sha256,
        "size": kept.artifact.size,
    }
    session.execute(
        insert(FisherSums)
        .values(model_id=run.model_id, kind=SumsKind.FORGET, label=label, **values)
        .on_conflict_do_update(index_elements=["model_id", "kind", "label"], set_=values)
    )
