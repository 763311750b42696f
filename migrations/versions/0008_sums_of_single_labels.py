"""Fisher sums over all training samples of a label, beside those over all samples.

Registered models that were enrolled before have none, and their requests go on as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE, CONSTRAINT = "fisher_sums", "ck_fisher_sums_sumskind"


def upgrade() -> None:
    _allow("full", "label", "forget")


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM fisher_sums WHERE kind = 'label'"))
    _allow("full", "forget")


def _allow(*kinds: str) -> None:
    op.drop_constraint(op.f(CONSTRAINT), TABLE)
    words = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f(CONSTRAINT), TABLE, f"kind IN ({words})")
