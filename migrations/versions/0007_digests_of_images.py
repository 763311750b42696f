"""Digests of images: whether an image is still the one that was enrolled.

Of what has been enrolled before there are none; its images are taken as they are found.
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


def downgrade() -> None:
    op.drop_constraint(op.f(CONSTRAINT), TABLE)
    op.drop_column(TABLE, "digests_size")
    op.drop_column(TABLE, "digests_sha256")
