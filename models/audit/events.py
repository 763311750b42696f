"""The events an audit record may name. A new event is one new line."""

from enum import StrEnum


class Event(StrEnum):
    """Past tense, subject first."""

    ENROLMENT_REQUESTED = "enrolment.requested"
    MODEL_ENROLLED = "model.enrolled"
    ENROLMENT_FAILED = "enrolment.failed"
    ENROLMENT_CANCELLED = "enrolment.cancelled"
    REQUEST_ACCEPTED = "request.accepted"
    REQUEST_CANCELLED = "request.cancelled"
    RUN_STARTED = "run.started"
    RUN_FAILED = "run.failed"
    RUN_ABANDONED = "run.abandoned"
    RUN_CANCEL_REQUESTED = "run.cancel_requested"
    RUN_CANCELLED = "run.cancelled"
    ITEM_QUARANTINED = "item.quarantined"
    REQUEST_OVERDUE = "request.overdue"
    RUN_NEEDS_REVIEW = "run.needs_review"
    RUN_APPROVED = "run.approved"
    RUN_REJECTED = "run.rejected"
    APPROVAL_LAPSED = "run.approval_lapsed"
    RUN_PREDICTED = "run.predicted"
    POLICY_CHANGED = "policy.changed"
    EXCLUSIONS_READ = "exclusions.read"
    RUN_FOUND_NOTHING_TO_DO = "run.nothing_to_do"
    CHECKPOINT_PUBLISHED = "checkpoint.published"
    ARTIFACT_DAMAGED = "artifact.damaged"
    ARTIFACT_WHOLE_AGAIN = "artifact.whole_again"
    DATABASE_RESTORED = "database.restored"
    PUBLICATION_REPLAYED = "publication.replayed"
