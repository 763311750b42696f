"""Rungs say whether a candidate was judged by a part of the probe; all before were by all of it."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

EVERY_RUNG = """
UPDATE unlearning_run SET verdict = jsonb_set(verdict, '{{ladder}}', (
    SELECT coalesce(jsonb_agg(rung {change} ORDER BY place), '[]')
    FROM jsonb_array_elements(verdict -> 'ladder') WITH ORDINALITY AS rungs (rung, place)
)) WHERE verdict ? 'ladder'
"""


def upgrade() -> None:
    op.execute(EVERY_RUNG.format(change="""|| '{"at_a_glance": false}'"""))


def downgrade() -> None:
    op.execute(EVERY_RUNG.format(change="- 'at_a_glance'"))
