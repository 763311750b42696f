"""What a version has only weakened; and verdicts that say everything, also those of earlier runs.

Verdicts are read by their declaration from here on (`models/documents`). What earlier ones did not
say is filled in as nothing: nothing was looked at, nobody was given back.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RUN = sa.table(
    "unlearning_run",
    sa.column("id", sa.Uuid),
    sa.column("item_count", sa.BigInteger),
    sa.column("verdict", postgresql.JSONB),
)
WEAKENED = """
UPDATE checkpoint SET weakened_count = (
    SELECT coalesce(sum((cohort ->> 'samples')::bigint), 0)
    FROM unlearning_run, jsonb_array_elements(verdict -> 'cohorts') AS cohort
    WHERE unlearning_run.id = checkpoint.run_id AND (cohort ->> 'gives_away')::boolean
)
"""

Json = dict[str, Any]


def upgrade() -> None:
    _complete_verdicts(op.get_bind())
    op.add_column(
        "checkpoint",
        sa.Column("weakened_count", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.execute(WEAKENED)
    op.alter_column("checkpoint", "weakened_count", server_default=None)


def downgrade() -> None:
    op.drop_column("checkpoint", "weakened_count")


def _complete_verdicts(connection: sa.Connection) -> None:
    judged = sa.select(RUN.c.id, RUN.c.item_count).where(RUN.c.verdict.is_not(None))
    # One at a time: a verdict may be a megabyte.
    for identity, items in connection.execute(judged).all():
        mine = RUN.c.id == identity
        verdict = connection.scalars(sa.select(RUN.c.verdict).where(mine)).one()
        connection.execute(sa.update(RUN).where(mine).values(verdict=complete(verdict, items)))


def complete(verdict: Mapping[str, Any], items: int) -> Json:
    """A verdict with what its declaration asks for.

    Which of a run's items were training samples was not on record.
    """
    return {
        "asked": {"training": items, "holdout": 0, "unreadable": 0},
        "parted": 0,
        "holdout_excused": {},
        **verdict,
        "pool": _pool(verdict.get("pool")),
        "damage_budget": _budget(verdict.get("damage_budget", {})),
        "cohorts": [_cohort(cohort) for cohort in verdict.get("cohorts", ())],
        "ladder": [_rung(rung) for rung in verdict.get("ladder", ())],
    }


def _budget(budget: Mapping[str, Any]) -> Json:
    spent, allowed = budget.get("spent"), budget.get("allowed", 0)
    return {"retraining_advised": spent is not None and spent >= allowed > 0, **budget}


def _pool(pool: Mapping[str, Any] | None) -> Json | None:
    return None if pool is None else {"forgotten": False, **pool}


def _cohort(cohort: Mapping[str, Any]) -> Json:
    accepted = cohort.get("candidate", {}).get("accepted", False)
    nothing = {"expectation": None, "last_layer_restored": None, "gives_away": not accepted}
    return {**nothing, **cohort}


def _rung(rung: Mapping[str, Any]) -> Json:
    falls = {
        name: _fall(rung.get(name))
        for name in ("retained", "holdout_of_retained_labels", "worst_label")
    }
    return {"given_back": [], "pool": None, "last_layer_restored": {}, **rung, **falls}


def _fall(found: Mapping[str, Any] | None) -> Json | None:
    """Without its interval, where that was not on record."""
    if found is None:
        return None
    fall = {
        "value": found["base"] - found["candidate"],
        "count": found["count"],
        "low": None,
        "high": None,
    }
    return {"fall": fall, **found}
