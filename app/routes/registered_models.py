"""Registered models: enrol, look, and ask after a sample."""

import re
import uuid
from typing import Literal

from fastapi import APIRouter, Request, Response
from sqlalchemy import exists, select, true
from sqlalchemy.orm import Session

from app.conditional import long_poll, represent
from app.dependencies import (
    Admin,
    DatabaseDependency,
    DoorbellDependency,
    Requester,
    SettingsDependency,
    Wait,
)
from app.problems import refusals
from app.schemas.answers import CONDITIONAL, ELSEWHERE
from app.schemas.registered_models import BaseAccuracyView, ModelList, ModelView, SampleView
from app.schemas.runs import FailureView, ProgressView
from app.security import Principal
from app.strict import StrictRoute
from app.withdrawals import give_up_enrolment
from models.advice import is_retraining_advised
from models.doorbell import Job
from models.errors import UnknownSample
from models.records import DeletionItem, DeletionRequest, RegisteredModel, Sample
from models.records.sample import SAMPLE_ID
from models.registry import find_model, register_model
from models.retirement import retire
from models.specifications import Enrolment, Policy

router = APIRouter(prefix="/v1/models", tags=["registered models"], route_class=StrictRoute)


@router.post(
    "",
    status_code=202,
    response_model=ModelView,
    responses={202: ELSEWHERE, **refusals("model-exists")},
)
def enrol_model(
    enrolment: Enrolment,
    response: Response,
    principal: Admin,
    database: DatabaseDependency,
    doorbell: DoorbellDependency,
) -> ModelView:
    """Put a trained network under management. A worker checks it and computes its Fisher sums.

    Poll the registered model until its state is `active`, or `enrolment_failed` with the reason.
    """
    with database.transaction() as session:
        model = register_model(session, enrolment, principal.name)
        session.flush()
        session.refresh(model)
        view = _view(session, model, principal)
    doorbell.ring(Job.ENROL, view.id)
    response.headers["Location"] = f"/v1/models/{view.name}"
    return view


@router.post("/{model}/cancel", responses=refusals("model-not-enrolling"))
def cancel_enrolment(model: str, principal: Admin, database: DatabaseDependency) -> ModelView:
    """Stop an enrolment: nothing is kept, and the name can be used again.

    The same enrolment, posted again, goes on where this one has got to.
    """
    with database.transaction() as session:
        stopped = give_up_enrolment(session, model, principal.name)
        session.flush()
        session.refresh(stopped)
        return _view(session, stopped, principal)


@router.post("/{model}/retire", responses=refusals("model-enrolling"))
def retire_model(model: str, principal: Admin, database: DatabaseDependency) -> ModelView:
    """End a registered model, **for good**: its base, sums and checkpoints are deleted.

    What waits to be forgotten is settled as `failed`, and the run under way is cancelled. Requests,
    runs, reports, the list of exclusions and the audit log stay. The name is not used again.
    """
    with database.transaction() as session:
        retired = retire(session, model, principal.name)
        session.refresh(retired)
        return _view(session, retired, principal)


@router.get("", response_model=ModelList, responses=CONDITIONAL)
def list_models(request: Request, principal: Requester, database: DatabaseDependency) -> Response:
    """All registered models by name."""
    with database.reading() as session:
        found = session.scalars(select(RegisteredModel).order_by(RegisteredModel.name)).all()
        views = [_view(session, model, principal) for model in found]
    return represent(request, ModelList(models=views))


@router.get("/{model}", response_model=ModelView, responses=CONDITIONAL)
async def get_model(
    model: str,
    request: Request,
    principal: Requester,
    settings: SettingsDependency,
    database: DatabaseDependency,
    wait: Wait = 0,
) -> Response:
    """One registered model; with `wait`, as soon as its enrolment has ended."""

    def look() -> ModelView:
        with database.reading() as session:
            return _view(session, find_model(session, model), principal)

    return await long_poll(request, look, min(wait, settings.max_wait_s))


@router.get("/{model}/samples/{sample_id:path}", response_model=SampleView, responses=CONDITIONAL)
def get_sample(
    model: str,
    sample_id: str,
    request: Request,
    principal: Requester,
    database: DatabaseDependency,
) -> Response:
    """Whether a sample is retained or forgotten, and since which version.

    Admins may ask after every sample, others after those of their own deletion requests.
    """
    with database.reading() as session:
        identity = find_model(session, model).id
        row = _find_sample(session, identity, sample_id, principal)
    if row is None:
        raise UnknownSample(
            f"The registered model {model!r} has no sample of this ID, or none that this key has "
            "asked to be forgotten."
        )
    return represent(
        request,
        SampleView(
            sample_id=row.sample_id,
            state=_state(row),
            split=row.split,
            label=row.label,
            forgotten_version=row.forgotten_version,
            forgotten_at=row.forgotten_at,
        ),
    )


def _find_sample(
    session: Session, model_id: uuid.UUID, sample_id: str, principal: Principal
) -> Sample | None:
    """The sample, unless there is none or it is not this principal's to know of."""
    if re.fullmatch(SAMPLE_ID, sample_id) is None:
        return None
    asked = (
        exists()
        .where(
            DeletionItem.request_id == DeletionRequest.id,
            DeletionItem.sample_id == sample_id,
            DeletionRequest.model_id == model_id,
            DeletionRequest.principal == principal.name,
        )
        .correlate(None)
    )
    return session.scalar(
        select(Sample).where(
            Sample.model_id == model_id,
            Sample.sample_id == sample_id,
            true() if principal.is_admin else asked,
        )
    )


def _state(row: Sample) -> Literal["retained", "forgotten", "weakened"]:
    if row.forgotten_version is None:
        return "retained"
    return "weakened" if row.weakened else "forgotten"


def _view(session: Session, model: RegisteredModel, principal: Principal) -> ModelView:
    """What a principal may see of it: where the data lies, and what is wrong with it, admins."""
    failure = FailureView(**model.failure) if model.failure else None
    if failure is not None and not principal.is_admin:
        failure = FailureView(kind=failure.kind, detail="A key with the scope `admin` is told why.")
    enrolment = Enrolment.model_validate(model.specification)
    return ModelView(
        id=model.id,
        name=model.name,
        state=model.state,
        architecture=enrolment.architecture,
        dataset=enrolment.dataset.model_dump(
            mode="json", include=None if principal.is_admin else {"kind"}
        ),
        preprocessing=enrolment.preprocessing,
        policy=Policy.model_validate(model.policy),
        policy_version=model.policy_version,
        retraining_advised=is_retraining_advised(session, model),
        head_version=model.head_version,
        training_samples=model.training_samples,
        holdout_samples=model.holdout_samples,
        manifest_digest=model.manifest_digest,
        base_accuracy=model.base_accuracy and BaseAccuracyView.model_validate(model.base_accuracy),
        progress=model.progress and ProgressView(**model.progress),
        failure=failure,
        created_at=model.created_at,
        enrolled_at=model.enrolled_at,
        retired_at=model.retired_at,
    )
