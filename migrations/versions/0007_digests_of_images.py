"""Digests of images, and no advice that nobody withdraws.

Whether an image is still the one that was enrolled; of what has been enrolled before there are no
digests, and its images are taken as they are found. That retraining is advised is found anew
whenever it is asked for (`models/advice.py`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE, CONSTRAINT = "registered_model", "ck_registered_model_digests"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("digests_sha256", sa.String(64)))
    op.add_column(TABLE, sa.Column("digests_size", sa.BigInteger()))
    op.create_check_constraint(
        op.f(CONSTRAINT), TABLE, "(digests_sha256 IS NULL) = (digests_size IS NULL)"
    )
    op.drop_column(TABLE, "retraining_advised")


def downgrade() -> None:
    op.add_column(
        TABLE,
        sa.Column("retraining_advised", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.drop_constraint(op.f(CONSTRAINT), TABLE)
    op.drop_column(TABLE, "digests_size")
    op.drop_column(TABLE, "digests_sha256")
