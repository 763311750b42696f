"""Dry runs, reviews, reports, versioned policies, and samples that are only weakened."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OUTCOMES = ["pending", "forgotten", "already_forgotten", "unknown", "failed", "cancelled"]
MORE_OUTCOMES = [
    *("pending", "forgotten", "weakened", "already_forgotten", "predicted", "rejected"),
    *("unknown", "failed", "cancelled"),
]
RUN_STATES = ["running", "published", "nothing_to_do", "needs_review", "failed", "abandoned"]
MORE_RUN_STATES = [
    *("running", "published", "no_detectable_influence", "published_short", "nothing_to_do"),
    *("predicted", "needs_review", "approved", "rejected", "failed", "abandoned"),
]


def upgrade() -> None:
    _states("deletion_item", "outcome", "outcome", MORE_OUTCOMES)
    _states("unlearning_run", "runstate", "state", MORE_RUN_STATES)
    for table in ("deletion_request", "unlearning_run"):
        op.add_column(table, sa.Column("mode", _mode(), nullable=False, server_default="delete"))
        op.alter_column(table, "mode", server_default=None)
    op.add_column("unlearning_run", sa.Column("carries_out", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_unlearning_run_carries_out"),
        "unlearning_run",
        "unlearning_run",
        ["carries_out"],
        ["id"],
    )
    op.add_column("unlearning_run", sa.Column("review", _json(), nullable=True))
    op.add_column(
        "registered_model",
        sa.Column("policy_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
    )
    op.add_column(
        "registered_model",
        sa.Column("retraining_advised", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "sample", sa.Column("weakened", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "run_report",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("details", _json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["unlearning_run.id"], name=op.f("fk_run_report_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_report")),
    )


def downgrade() -> None:
    op.drop_table("run_report")
    op.drop_column("sample", "weakened")
    op.drop_column("registered_model", "retraining_advised")
    op.drop_column("registered_model", "policy_version")
    for column in ("review", "carries_out", "mode"):
        op.drop_column("unlearning_run", column)
    op.drop_column("deletion_request", "mode")
    _states("unlearning_run", "runstate", "state", RUN_STATES)
    _states("deletion_item", "outcome", "outcome", OUTCOMES)


def _json() -> postgresql.JSONB:
    return postgresql.JSONB(none_as_null=True, astext_type=sa.Text())


def _mode() -> sa.Enum:
    return sa.Enum(
        "delete",
        "dry_run",
        name="requestmode",
        native_enum=False,
        create_constraint=True,
        length=32,
    )


def _states(table: str, name: str, column: str, words: list[str]) -> None:
    """Let a column hold these words and no others."""
    constraint = op.f(f"ck_{table}_{name}")
    op.drop_constraint(constraint, table, type_="check")
    listed = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint(constraint, table, f"{column} IN ({listed})")
