"""Which samples a run verifies on: stratified probes of retained and of holdout samples.

Samples got a seeded random rank at enrolment; a probe takes the lowest ranks of every label through
an index, so its cost depends on its size and that of the run, not on that of the training set.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping

from sqlalchemy import ARRAY, Integer, cast, column, func, select, true
from sqlalchemy.orm import Session

from models.records import Sample, Split
from workers.claims import ForgetSample


def select_probe(
    session: Session,
    model_id: uuid.UUID,
    split: Split,
    *,
    counts: Mapping[int, int],
    size: int,
    without: Collection[ForgetSample],
) -> list[tuple[int, int]]:
    """Positions and labels of about `size` samples that no version has forgotten.

    Every label gets its share of the enrolled `counts`, at least one, as far as it has that many
    besides those in `without`, which are about to be forgotten.
    """
    total = sum(counts.values())
    quotas = {label: max(1, round(min(size, total) * n / total)) for label, n in counts.items()}
    excluded = {sample.position for sample in without}
    in_the_way = Counter(sample.label for sample in without)
    left = dict(quotas)
    probe = []
    # So many are read of each label that enough remain, whichever of them are left out.
    limits = {label: quota + in_the_way[label] for label, quota in quotas.items()}
    for position, label in _lowest_ranks(session, model_id, split, limits):
        if position not in excluded and left[label]:
            left[label] -= 1
            probe.append((position, label))
    return sorted(probe)


def _lowest_ranks(
    session: Session, model_id: uuid.UUID, split: Split, limits: Mapping[int, int]
) -> list[tuple[int, int]]:
    if not limits:
        return []
    # Two arrays, not two parameters for every label: there may be a million of them.
    wanted = (
        func.unnest(cast(list(limits), ARRAY(Integer)), cast(list(limits.values()), ARRAY(Integer)))
        .table_valued(column("label", Integer), column("limit", Integer))
        .render_derived()
    )
    ranked = (
        select(Sample.position, Sample.label, Sample.probe_rank)
        .where(
            Sample.model_id == model_id,
            Sample.split == split,
            Sample.label == wanted.c.label,
            Sample.forgotten_version.is_(None),
        )
        .order_by(Sample.probe_rank)
        .limit(wanted.c.limit)
        .lateral("ranked")
    )
    rows = session.execute(
        select(ranked.c.position, ranked.c.label)
        .select_from(wanted.join(ranked, true()))
        .order_by(ranked.c.probe_rank)
    )
    return [(position, label) for position, label in rows]
