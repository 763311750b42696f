"""The accuracy that a network was enrolled with, and who has withdrawn a request."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Later runs read what was expected of a cohort. Of kinds and of parts of labels the same was
# accepted then.
OF_KIND = """
UPDATE unlearning_run SET verdict = jsonb_set(verdict, '{cohorts}', (
    SELECT jsonb_agg(
        CASE jsonb_typeof(cohort -> 'expectation')
            WHEN 'object' THEN jsonb_set(cohort, '{expectation,of_kind}', 'true')
            ELSE cohort
        END
        ORDER BY place
    )
    FROM jsonb_array_elements(verdict -> 'cohorts') WITH ORDINALITY AS each (cohort, place)
))
WHERE verdict @? '$.cohorts[*].expectation.positions'
"""


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
    # It was taken for whoever had posted the request, and nobody can tell any more.
    op.execute(
        "UPDATE deletion_request SET cancel_requested_by = principal "
        "WHERE cancel_requested_at IS NOT NULL"
    )
    op.execute(OF_KIND)


def downgrade() -> None:
    op.drop_column("deletion_request", "cancel_requested_by")
    op.drop_column("registered_model", "base_accuracy")
