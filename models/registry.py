"""Registering a model, and finding it and its runs again."""

import re
import uuid

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.errors import ModelExists, UnknownModel, UnknownRun
from models.records import ModelState, RegisteredModel, UnlearningRun
from models.specifications import MODEL_NAME, Enrolment


def register_model(session: Session, enrolment: Enrolment, actor: str) -> RegisteredModel:
    """Make the row, in state `enrolling`; a name whose enrolment failed may be used again.

    Raises `ModelExists`.
    """
    name = enrolment.name
    values = {
        "specification": enrolment.model_dump(mode="json"),
        "policy": enrolment.policy.model_dump(mode="json", by_alias=True),
    }
    model = session.scalar(
        select(RegisteredModel).where(RegisteredModel.name == name).with_for_update()
    )
    if model is None:
        model = RegisteredModel(name=name, state=ModelState.ENROLLING, **values)
        try:
            with session.begin_nested():
                session.add(model)
        except IntegrityError:
            raise _exists(name) from None
    elif model.state is ModelState.ENROLMENT_FAILED:
        model.state = ModelState.ENROLLING
        model.failure = None
        model.enrolment_attempts = 0
        for column, value in values.items():
            setattr(model, column, value)
    else:
        raise _exists(name)
    append(session, Event.ENROLMENT_REQUESTED, actor=actor, model_id=model.id)
    return model


def find_unfinished(session: Session, enrolment: Enrolment) -> RegisteredModel | None:
    """The registered model that this very enrolment has begun and not ended, if there is one."""
    return session.scalar(
        select(RegisteredModel).where(
            RegisteredModel.name == enrolment.name,
            RegisteredModel.state == ModelState.ENROLLING,
            RegisteredModel.specification == enrolment.model_dump(mode="json"),
        )
    )


def find_model(session: Session, name: str) -> RegisteredModel:
    """The registered model of that name, or `UnknownModel`."""
    # A name that no model can have may hold what the database cannot be asked for.
    possible = re.fullmatch(MODEL_NAME, name) is not None
    model = (
        session.scalar(select(RegisteredModel).where(RegisteredModel.name == name))
        if possible
        else None
    )
    if model is None:
        raise UnknownModel(f"There is no registered model {name!r}. GET /v1/models lists them.")
    return model


def find_run(session: Session, run_id: uuid.UUID) -> UnlearningRun:
    """The run of that ID, or `UnknownRun`."""
    run = session.get(UnlearningRun, run_id)
    if run is None:
        raise UnknownRun(f"There is no run {run_id}.")
    return run


def _exists(name: str) -> ModelExists:
    return ModelExists(f"There is a registered model {name!r} already. Choose another name.")
