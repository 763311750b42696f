"""Which samples a run verifies on: stratified probes of retained and of holdout samples.

Samples got a seeded random rank at enrolment; a probe takes the lowest ranks of every label through
an index, so its cost depends on its size and not on the size of the training set.
"""

import uuid

from sqlalchemy import Integer, column, exists, select, true, values
from sqlalchemy.orm import Session

from models.records import DeletionItem, Sample, Split


def select_probe(
    session: Session,
    model_id: uuid.UUID,
    split: Split,
    *,
    counts: dict[int, int],
    size: int,
    run_id: uuid.UUID,
) -> list[tuple[int, int]]:
    """Positions and labels of about `size` samples that no version has forgotten.

    Every label gets its share of the enrolled `counts`, at least one. Samples that the run is
    about to forget are left out.
    """
    total = sum(counts.values())
    if not total:
        return []
    shares = [
        (label, max(1, round(min(size, total) * count / total))) for label, count in counts.items()
    ]
    quota = values(column("label", Integer), column("quota", Integer), name="quota").data(shares)
    ranked = (
        select(Sample.position, Sample.label, Sample.probe_rank)
        .where(
            Sample.model_id == model_id,
            Sample.split == split,
            Sample.label == quota.c.label,
            Sample.forgotten_version.is_(None),
            ~exists().where(
                DeletionItem.run_id == run_id, DeletionItem.sample_id == Sample.sample_id
            ),
        )
        .order_by(Sample.probe_rank)
        .limit(quota.c.quota)
    )
    chosen = ranked.lateral("chosen")
    rows = session.execute(
        select(chosen.c.position, chosen.c.label)
        .select_from(quota.join(chosen, true()))
        .order_by(chosen.c.position)
    )
    return [(position, label) for position, label in rows]
