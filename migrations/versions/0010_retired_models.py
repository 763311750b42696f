"""Registered models can be retired: what is computed with is deleted, what is on record stays."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE, CONSTRAINT = "registered_model", "ck_registered_model_modelstate"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    _allow("enrolling", "active", "enrolment_failed", "retired")


def downgrade() -> None:
    op.execute(
        sa.text("UPDATE registered_model SET state = 'enrolment_failed' WHERE state = 'retired'")
    )
    _allow("enrolling", "active", "enrolment_failed")
    op.drop_column(TABLE, "retired_at")


def _allow(*states: str) -> None:
    op.drop_constraint(op.f(CONSTRAINT), TABLE)
    words = ", ".join(f"'{state}'" for state in states)
    op.create_check_constraint(op.f(CONSTRAINT), TABLE, f"state IN ({words})")
