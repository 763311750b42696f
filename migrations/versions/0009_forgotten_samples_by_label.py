"""Forgotten samples by label and rank, as retained ones are: a probe takes the lowest of each.

By model alone every label of a probe went through all forgotten samples.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_sample_forgotten", "sample"


def upgrade() -> None:
    _index_by("model_id", "split", "label", "probe_rank")


def downgrade() -> None:
    _index_by("model_id")


def _index_by(*columns: str) -> None:
    op.drop_index(NAME, table_name=TABLE)
    forgotten = sa.text("forgotten_version IS NOT NULL")
    op.create_index(NAME, TABLE, list(columns), postgresql_where=forgotten)
