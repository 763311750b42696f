"""Parting a run that is held for a review: what does not keep it from passing is tried without it.

Requests that come at about the same time share a run. One of them may hold samples that no setting
forgets, and the others, which would pass, must not wait for a person because of it.
"""

from sqlalchemy import ARRAY, Integer, any_, cast, select, update
from sqlalchemy.orm import Session

from models.documents import Verdict
from models.records import DeletionItem, Sample, Split
from models.records.deletion_item import pending_of
from workers.runs import Run


def part(session: Session, run: Run, verdict: Verdict) -> Verdict:
    """Free the items of requests none of whose samples keeps the run from passing.

    Returns the verdict, which says how many these are. None are freed where it is not known whose
    they are: what candidates cost, all cohorts cost together. And none of what was held before: it
    has been tried apart, and is tried together only once.
    """
    labels = [label for cohort in verdict.cohorts if cohort.gives_away for label in cohort.labels]
    if not run.is_new or verdict.taken.damage or not labels:
        return verdict
    at_fault = (
        select(DeletionItem.request_id)
        .join(
            Sample,
            (Sample.model_id == DeletionItem.model_id)
            & (Sample.sample_id == DeletionItem.sample_id),
        )
        .where(
            pending_of(run.id),
            Sample.split == Split.TRAIN,
            Sample.forgotten_version.is_(None),
            Sample.label == any_(cast(labels, ARRAY(Integer))),
        )
    )
    if session.scalar(at_fault.limit(1)) is None:
        # Those are of earlier runs; without its own items there would be no run.
        return verdict
    freed = session.scalars(
        update(DeletionItem)
        .where(pending_of(run.id), DeletionItem.request_id.not_in(at_fault))
        .values(run_id=None)
        .returning(DeletionItem.position)
    )
    parted = len(freed.all())
    if not parted:
        return verdict
    said = (
        f"{parted} items of other requests do not keep it from passing, and are tried by "
        "themselves. What is left is judged again after that; until then nothing can be approved."
    )
    return verdict.model_copy(update={"parted": parted, "remarks": [said, *verdict.remarks]})
