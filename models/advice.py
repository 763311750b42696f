"""Advice to retrain: when deletions have done the damage that they may do in all.

It is found anew whenever somebody asks, so that it follows the head, the policy in force, and what
waits for a review.
"""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from models.records import (
    Checkpoint,
    DeletionItem,
    Outcome,
    RegisteredModel,
    RunState,
    UnlearningRun,
)
from models.specifications import Policy

BUDGET = UnlearningRun.verdict["damage_budget"]


def is_retraining_advised(session: Session, model: RegisteredModel) -> bool:
    """Whether the head has used up what the policy allows, or no search finds a harmless setting
    for what waits for a review.
    """
    spent = session.scalar(
        select(BUDGET["spent"].as_float())
        .join(Checkpoint, Checkpoint.run_id == UnlearningRun.id)
        .where(Checkpoint.model_id == model.id, Checkpoint.version == model.head_version)
    )
    if Policy.model_validate(model.policy).gate.is_spent(spent):
        return True
    held = exists().where(
        UnlearningRun.model_id == model.id,
        UnlearningRun.state == RunState.NEEDS_REVIEW,
        BUDGET["retraining_advised"].as_boolean(),
        DeletionItem.run_id == UnlearningRun.id,
        DeletionItem.outcome == Outcome.PENDING,
    )
    return bool(session.scalar(select(held)))
