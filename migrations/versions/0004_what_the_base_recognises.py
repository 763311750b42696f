"""The accuracy that a network was enrolled with, and who has withdrawn a request."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "registered_model",
        sa.Column(
            "base_accuracy",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
        ),
    )
    op.add_column("deletion_request", sa.Column("cancel_requested_by", sa.String(64)))


def downgrade() -> None:
    op.drop_column("deletion_request", "cancel_requested_by")
    op.drop_column("registered_model", "base_accuracy")
