"""Which samples a run is judged on, chosen by the database.

Samples got a seeded random rank at enrolment; a probe takes the lowest ranks of every label through
an index, so its cost depends on its size and that of the run, not on that of the training set.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping

from sqlalchemy import ARRAY, Integer, cast, column, func, select, true
from sqlalchemy.orm import Session

from models.records import Sample, Split
from workers.datasets.source import Position
from workers.runs import ForgetSample

# Cohorts beyond so many share the probe of so many.
WHOLE_PROBES = 4


def quotas(counts: Mapping[int, int], size: int) -> dict[int, int]:
    """How many of `size` samples each label gets, in proportion to `counts`: at least one."""
    total = sum(counts.values())
    return {label: max(1, round(size * n / total)) for label, n in counts.items() if n}


def size_of_one(cohorts: int, size: int, least: int) -> int:
    """How many samples are looked at of each of so many cohorts, forgotten ones and unseen.

    `size` of each of a few. More of them share as many, but of each there are as many as decide
    anything, `least`: else every one of many would be undecidable.
    """
    if cohorts <= WHOLE_PROBES:
        return size
    return min(size, max(least, WHOLE_PROBES * size // cohorts))


def select_probe(
    session: Session,
    model_id: uuid.UUID,
    split: Split,
    *,
    limits: Mapping[int, int],
    without: Collection[ForgetSample],
) -> list[Position]:
    """Samples that no version has forgotten, as many of each label as `limits` says, if there are.

    None of those in `without`, which are about to be forgotten.
    """
    excluded = {sample.position for sample in without}
    in_the_way = Counter(sample.label for sample in without)
    # So many are read of each label that enough remain, whichever of them are left out.
    more = {label: limit + in_the_way[label] for label, limit in limits.items()}
    found = _lowest_ranks(session, model_id, split, more, forgotten=False)
    return _first([row for row in found if row[1] not in excluded], limits)


def select_forgotten(
    session: Session,
    model_id: uuid.UUID,
    *,
    limits: Mapping[int, int],
    now: Collection[ForgetSample],
) -> list[Position]:
    """Training samples that an earlier version has forgotten or that this run does (`now`).

    Which of them are taken depends on the set of both, not on which run forgot which.
    """
    earlier = _lowest_ranks(session, model_id, Split.TRAIN, limits, forgotten=True)
    new = ((sample.probe_rank, sample.position, sample.label) for sample in now)
    return _first(sorted({*earlier, *new}), limits)


def _first(ranked: list[tuple[int, int, int]], limits: Mapping[int, int]) -> list[Position]:
    """The first of each label, by position."""
    left = dict(limits)
    chosen = []
    for _, position, label in ranked:
        if left.get(label, 0):
            left[label] -= 1
            chosen.append((position, label))
    return sorted(chosen)


def _lowest_ranks(
    session: Session,
    model_id: uuid.UUID,
    split: Split,
    limits: Mapping[int, int],
    *,
    forgotten: bool,
) -> list[tuple[int, int, int]]:
    """Rank, position and label, by rank."""
    if not limits:
        return []
    # Two arrays, not two parameters for every label: there may be a million of them.
    wanted = (
        func.unnest(cast(list(limits), ARRAY(Integer)), cast(list(limits.values()), ARRAY(Integer)))
        .table_valued(column("label", Integer), column("limit", Integer))
        .render_derived()
    )
    version = Sample.forgotten_version
    ranked = (
        select(Sample.position, Sample.label, Sample.probe_rank)
        .where(
            Sample.model_id == model_id,
            Sample.split == split,
            Sample.label == wanted.c.label,
            version.is_not(None) if forgotten else version.is_(None),
        )
        .order_by(Sample.probe_rank)
        .limit(wanted.c.limit)
        .lateral("ranked")
    )
    rows = session.execute(
        select(ranked.c.probe_rank, ranked.c.position, ranked.c.label)
        .select_from(wanted.join(ranked, true()))
        .order_by(ranked.c.probe_rank)
    )
    return [(rank, position, label) for rank, position, label in rows]
