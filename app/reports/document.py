"""The report of a run as one document: its row, its verdict, and what is kept of it besides."""

import uuid
from importlib.metadata import version

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.documents import Report, ReportedNetwork, ReportedRequest, ReportedRun
from models.errors import UnknownReport, UnknownRun
from models.records import (
    Checkpoint,
    DeletionItem,
    DeletionRequest,
    FisherSums,
    RegisteredModel,
    RunReport,
    SumsKind,
    UnlearningRun,
)

PROGRAM = "expunge"
MOST_REQUESTS = 100


def find_report(session: Session, run_id: uuid.UUID) -> Report:
    """The report of a run that was judged.

    Raises `UnknownRun`, and `UnknownReport` if it was not, or not yet.
    """
    found = session.execute(
        select(UnlearningRun, RegisteredModel, RunReport.details)
        .join(RegisteredModel, RegisteredModel.id == UnlearningRun.model_id)
        .outerjoin(RunReport, RunReport.run_id == UnlearningRun.id)
        .where(UnlearningRun.id == run_id)
    ).one_or_none()
    if found is None:
        raise UnknownRun(f"There is no run {run_id}.")
    run, model, details = found
    if run.verdict is None or details is None:
        raise UnknownReport(
            f"The run is {run.state.value} and was not judged, so there is nothing to report."
        )
    return Report(
        run=ReportedRun(
            id=run.id,
            model=model.name,
            mode=run.mode.value,
            state=run.state.value,
            items=run.item_count,
            parent_version=run.parent_version,
            version=run.version,
            worker=run.worker,
            created_at=run.created_at,
            finished_at=run.finished_at,
            timings=run.timings,
            review=run.review,
            carries_out=run.carries_out,
        ),
        requests=_requests(session, run),
        network=_network(session, run, model),
        # What writes this; what made the run may have been an earlier version of it.
        program=f"{PROGRAM} {version(PROGRAM)}",
        verdict=run.verdict,
        zero_retrain_forgetting=details.zero_retrain_forgetting,
        loss_histograms=details.loss_histograms,
    )


def _requests(session: Session, run: UnlearningRun) -> list[ReportedRequest]:
    rows = session.execute(
        select(DeletionRequest.id, DeletionRequest.reference, func.count())
        .join(DeletionItem, DeletionItem.request_id == DeletionRequest.id)
        .where(DeletionItem.run_id == run.id)
        .group_by(DeletionRequest.id)
        .order_by(DeletionRequest.created_at, DeletionRequest.id)
        .limit(MOST_REQUESTS)
    )
    return [
        ReportedRequest(id=identity, reference=reference, items=items)
        for identity, reference, items in rows
    ]


def _network(session: Session, run: UnlearningRun, model: RegisteredModel) -> ReportedNetwork:
    """What was worked on and what came of it, by digests that anybody can compare."""
    of_model = select(Checkpoint.sha256).where(Checkpoint.model_id == model.id)
    sums = select(FisherSums).where(
        FisherSums.model_id == model.id, FisherSums.kind == SumsKind.FULL
    )
    full = session.scalars(sums).one()
    return ReportedNetwork(
        base_sha256=session.scalars(of_model.where(Checkpoint.version == 0)).one(),
        published_sha256=session.scalar(of_model.where(Checkpoint.run_id == run.id)),
        training_samples=full.sample_count,
        manifest_digest=model.manifest_digest,
        # Estimator and device, and the digests of what they were made from.
        sums=full.provenance,
    )
