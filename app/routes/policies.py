"""Policies: how deletions of a registered model are carried out and judged."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Request, Response

from app.conditional import etag_of, represent, require_seen
from app.dependencies import Admin, DatabaseDependency, Requester
from app.problems import refusals
from app.schemas.answers import CONDITIONAL, described
from app.schemas.registered_models import PolicyView
from app.strict import StrictRoute
from models.policies import change_policy, lock_policy
from models.records import RegisteredModel
from models.registry import find_model
from models.specifications import Policy

router = APIRouter(
    prefix="/v1/models/{model}/policy", tags=["registered models"], route_class=StrictRoute
)


@router.get("", response_model=PolicyView, responses=CONDITIONAL)
def get_policy(
    model: str, request: Request, _principal: Requester, database: DatabaseDependency
) -> Response:
    """The policy in force, and how many there have been."""
    with database.reading() as session:
        return represent(request, _view(find_model(session, model)))


@router.patch(
    "",
    responses={
        200: {"headers": described("ETag")},
        **refusals("model-retired", "invalid-policy", "precondition-failed"),
    },
)
def change_model_policy(
    model: str,
    patch: Annotated[
        dict[str, Any],
        Body(
            description="A JSON merge patch (RFC 7396) of the policy: what is not named stays as "
            "it is, and `null` goes back to the default. `method` is replaced whole.",
            examples=[{"gate": {"max_holdout_fall": 0.005}}],
        ),
    ],
    request: Request,
    response: Response,
    principal: Admin,
    database: DatabaseDependency,
    if_match: Annotated[
        str | None,
        Header(description="The ETag of the policy that is to be changed; 412 if it is another."),
    ] = None,
) -> PolicyView:
    """Change the policy from the next run on. Every change is a new version, and audited."""
    del if_match  # It is here to be documented; `require_seen` reads it.
    with database.transaction() as session:
        require_seen(request, etag_of(_view(lock_policy(session, model))))
        after = _view(change_policy(session, model, patch, principal.name))
    response.headers["ETag"] = etag_of(after)
    return after


def _view(model: RegisteredModel) -> PolicyView:
    return PolicyView(version=model.policy_version, policy=Policy.model_validate(model.policy))
