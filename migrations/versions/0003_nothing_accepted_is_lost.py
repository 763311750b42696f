"""How runs died, what is bisected and quarantined, overdue requests, and checked artifacts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OUTCOMES = [
    *("pending", "forgotten", "weakened", "already_forgotten", "predicted", "rejected"),
    *("unknown", "failed", "cancelled"),
]
MORE_OUTCOMES = [
    *("pending", "forgotten", "weakened", "already_forgotten", "predicted", "rejected"),
    *("unknown", "failed", "quarantined", "cancelled"),
]
RUN_STATES = [
    *("running", "published", "no_detectable_influence", "published_short", "nothing_to_do"),
    *("predicted", "needs_review", "approved", "rejected", "failed", "abandoned"),
]
MORE_RUN_STATES = [*RUN_STATES, "cancelled"]


def upgrade() -> None:
    _states("deletion_item", "outcome", "outcome", MORE_OUTCOMES)
    _states("unlearning_run", "runstate", "state", MORE_RUN_STATES)
    op.add_column(
        "deletion_item",
        sa.Column("blame", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "deletion_item",
        sa.Column("losses", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("deletion_item", sa.Column("suspects", sa.Uuid(), nullable=True))
    op.add_column("unlearning_run", sa.Column("suspects", sa.Uuid(), nullable=True))
    op.add_column("unlearning_run", sa.Column("death", _json(), nullable=True))
    for table in ("unlearning_run", "deletion_request"):
        op.add_column(table, sa.Column("cancel_requested_at", _moment(), nullable=True))
    op.add_column("deletion_request", sa.Column("overdue_since", _moment(), nullable=True))
    op.create_index(
        "ix_deletion_request_deadline",
        "deletion_request",
        ["deadline"],
        postgresql_where=sa.text("state = 'pending' AND overdue_since IS NULL"),
    )
    op.add_column(
        "registered_model",
        sa.Column(
            "enrolment_attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False
        ),
    )
    op.create_table(
        "artifact_check",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", _moment(), nullable=True),
        sa.Column("fault", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_artifact_check")),
    )


def downgrade() -> None:
    op.drop_table("artifact_check")
    op.drop_column("registered_model", "enrolment_attempts")
    op.drop_index("ix_deletion_request_deadline", table_name="deletion_request")
    op.drop_column("deletion_request", "overdue_since")
    for table in ("deletion_request", "unlearning_run"):
        op.drop_column(table, "cancel_requested_at")
    op.drop_column("unlearning_run", "death")
    op.drop_column("unlearning_run", "suspects")
    op.drop_column("deletion_item", "suspects")
    op.drop_column("deletion_item", "losses")
    op.drop_column("deletion_item", "blame")
    _states("unlearning_run", "runstate", "state", RUN_STATES)
    _states("deletion_item", "outcome", "outcome", OUTCOMES)


def _json() -> postgresql.JSONB:
    return postgresql.JSONB(none_as_null=True, astext_type=sa.Text())


def _moment() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def _states(table: str, name: str, column: str, words: list[str]) -> None:
    """Let a column hold these words and no others."""
    constraint = op.f(f"ck_{table}_{name}")
    op.drop_constraint(constraint, table, type_="check")
    listed = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint(constraint, table, f"{column} IN ({listed})")
