"""Policies of registered models: changing one, and what it allows to be forgotten."""

from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit.append import append
from models.audit.events import Event
from models.errors import ForgetsTooMuch, InvalidPolicy, NothingRetained
from models.records import RegisteredModel
from models.records.base import Json
from models.registry import find_model
from models.retirement import require_not_retired
from models.specifications import Enrolment, Gate, Policy, require_fitting
from models.specifications.sentences import sentences

# Its fields belong to one kind of it, so a patch of another kind cannot be merged into it.
WHOLE = ("method",)


def change_policy(session: Session, name: str, patch: Json, actor: str) -> RegisteredModel:
    """Merge `patch` into the policy of the registered model `name` (RFC 7396).

    Raises `UnknownModel`, `ModelRetired`, and `InvalidPolicy` if the outcome is no policy that this
    model can have.
    """
    model = lock_policy(session, name)
    require_not_retired(model)
    policy = _checked(model, merged(model.policy, patch))
    after = policy.model_dump(mode="json", by_alias=True)
    if after == model.policy:
        return model
    model.policy = after
    model.policy_version += 1
    append(
        session,
        Event.POLICY_CHANGED,
        actor=actor,
        model_id=model.id,
        details={"version": model.policy_version, "policy": after},
    )
    session.flush()
    return model


def lock_policy(session: Session, name: str) -> RegisteredModel:
    """The registered model, whose policy nobody else changes until the transaction has ended.

    Raises `UnknownModel`.
    """
    model = find_model(session, name)
    session.execute(
        select(RegisteredModel.id)
        .where(RegisteredModel.id == model.id)
        .with_for_update(key_share=True)
    )
    session.refresh(model)
    return model


def require_allowed(count: int, total: int, gate: Gate) -> None:
    """Raise if `count` of `total` training samples must not be forgotten.

    `NothingRetained` if none would be left, `ForgetsTooMuch` if the policy's gate forbids it.
    """
    if gate.allows(count, total):
        return
    if count >= total:
        raise NothingRetained(
            f"All {total} training samples would be forgotten, and nothing would be left to "
            "protect. Retire the network instead."
        )
    raise ForgetsTooMuch(
        f"{count} of {total} training samples would be forgotten, which is more than the "
        f"{100 * gate.max_forgotten_share:g} % that the policy allows. Retrain the network "
        "without them, or change the policy."
    )


def merged(document: Any, patch: Any) -> Any:
    """A JSON merge patch, but for what is replaced whole."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(None if key in WHOLE else result.get(key), value)
    return result


def _checked(model: RegisteredModel, document: Any) -> Policy:
    try:
        policy = Policy.model_validate(document)
        require_fitting(policy, Enrolment.model_validate(model.specification).estimator)
    except ValidationError as error:
        raise InvalidPolicy(f"{sentences(error)}.") from error
    except ValueError as error:
        raise InvalidPolicy(f"{error}.".capitalize()) from error
    return policy
