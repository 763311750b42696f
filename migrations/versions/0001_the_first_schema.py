"""The first schema.

Audit records are append-only in the database itself: a trigger refuses to change, remove or
truncate them, whoever asks.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


REFUSE = """
CREATE FUNCTION audit_record_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$
"""
TRIGGERS = """
CREATE TRIGGER audit_record_no_change BEFORE UPDATE OR DELETE ON audit_record
    FOR EACH ROW EXECUTE FUNCTION audit_record_refuse();
CREATE TRIGGER audit_record_no_truncate BEFORE TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION audit_record_refuse();
"""


def upgrade() -> None:
    op.create_table(
        "registered_model",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "enrolling",
                "active",
                "enrolment_failed",
                name="modelstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "specification",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
        ),
        sa.Column(
            "policy", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("head_version", sa.BigInteger(), nullable=True),
        sa.Column(
            "label_counts",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
        ),
        sa.Column("manifest_digest", sa.String(length=64), nullable=True),
        sa.Column(
            "progress", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "failure", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(state = 'active') = (head_version IS NOT NULL)", name=op.f("ck_registered_model_head")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registered_model")),
        sa.UniqueConstraint("name", name=op.f("uq_registered_model_name")),
    )
    op.create_table(
        "deletion_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "settled",
                "cancelled",
                name="requeststate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("principal", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("item_count", sa.BigInteger(), nullable=False),
        sa.Column("duplicate_count", sa.BigInteger(), nullable=False),
        sa.Column(
            "accepted_counts",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_deletion_request_model_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletion_request")),
        sa.UniqueConstraint(
            "principal",
            "idempotency_key",
            name=op.f("uq_deletion_request_principal_idempotency_key"),
        ),
    )
    op.create_index(
        "ix_deletion_request_pending",
        "deletion_request",
        ["model_id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "fisher_sums",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "full",
                "forget",
                name="sumskind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("label", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sample_count", sa.BigInteger(), nullable=False),
        sa.Column(
            "provenance", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("(kind = 'full') = (label IS NULL)", name=op.f("ck_fisher_sums_label")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_fisher_sums_model_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fisher_sums")),
        sa.UniqueConstraint(
            "model_id",
            "kind",
            "label",
            name=op.f("uq_fisher_sums_model_id_kind_label"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "lease",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_lease_model_id")
        ),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_lease")),
    )
    op.create_table(
        "sample",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("sample_id", sa.String(length=255), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.BigInteger(), nullable=False),
        sa.Column(
            "split",
            sa.Enum(
                "train",
                "holdout",
                name="split",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("probe_rank", sa.BigInteger(), nullable=False),
        sa.Column("forgotten_version", sa.BigInteger(), nullable=True),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_sample_model_id")
        ),
        sa.PrimaryKeyConstraint("model_id", "sample_id", name=op.f("pk_sample")),
    )
    op.create_index(
        "ix_sample_forgotten",
        "sample",
        ["model_id"],
        unique=False,
        postgresql_where=sa.text("forgotten_version IS NOT NULL"),
    )
    op.create_index(
        "ix_sample_probe",
        "sample",
        ["model_id", "split", "label", "probe_rank"],
        unique=False,
        postgresql_where=sa.text("forgotten_version IS NULL"),
    )
    op.create_table(
        "unlearning_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "running",
                "published",
                "nothing_to_do",
                "needs_review",
                "failed",
                "abandoned",
                name="runstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "phase",
            sa.Enum(
                "claim",
                "load",
                "weigh",
                "tune",
                "verify",
                "store",
                "publish",
                name="phase",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("item_count", sa.BigInteger(), nullable=False),
        sa.Column("parent_version", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column(
            "progress", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "timings",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "verdict", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "failure", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_unlearning_run_model_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unlearning_run")),
    )
    op.create_index(
        "ix_unlearning_run_model_id_created_at",
        "unlearning_run",
        ["model_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "uq_unlearning_run_running",
        "unlearning_run",
        ["model_id"],
        unique=True,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "audit_record",
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column(
            "details", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_audit_record_model_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["deletion_request.id"], name=op.f("fk_audit_record_request_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["unlearning_run.id"], name=op.f("fk_audit_record_run_id")
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_record")),
    )
    op.create_index(
        "ix_audit_record_model_id_sequence", "audit_record", ["model_id", "sequence"], unique=False
    )
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("parent_version", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("forgotten_count", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(version = 0 AND parent_version IS NULL) OR parent_version = version - 1",
            name=op.f("ck_checkpoint_dense"),
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_checkpoint_model_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["unlearning_run.id"], name=op.f("fk_checkpoint_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint")),
        sa.UniqueConstraint(
            "model_id", "parent_version", name=op.f("uq_checkpoint_model_id_parent_version")
        ),
        sa.UniqueConstraint("model_id", "version", name=op.f("uq_checkpoint_model_id_version")),
    )
    op.create_table(
        "deletion_item",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("sample_id", sa.String(length=255), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "pending",
                "forgotten",
                "already_forgotten",
                "unknown",
                "failed",
                "cancelled",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_model.id"], name=op.f("fk_deletion_item_model_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["deletion_request.id"], name=op.f("fk_deletion_item_request_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["unlearning_run.id"], name=op.f("fk_deletion_item_run_id")
        ),
        sa.PrimaryKeyConstraint("request_id", "position", name=op.f("pk_deletion_item")),
    )
    op.create_index(
        "ix_deletion_item_pending",
        "deletion_item",
        ["model_id"],
        unique=False,
        postgresql_where=sa.text("outcome = 'pending'"),
    )
    op.create_index(
        "ix_deletion_item_run",
        "deletion_item",
        ["run_id", "sample_id"],
        unique=False,
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.execute(REFUSE)
    op.execute(TRIGGERS)


def downgrade() -> None:
    op.drop_index(
        "ix_deletion_item_run",
        table_name="deletion_item",
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_deletion_item_pending",
        table_name="deletion_item",
        postgresql_where=sa.text("outcome = 'pending'"),
    )
    op.drop_table("deletion_item")
    op.drop_table("checkpoint")
    op.drop_index("ix_audit_record_model_id_sequence", table_name="audit_record")
    op.drop_table("audit_record")
    op.drop_index(
        "uq_unlearning_run_running",
        table_name="unlearning_run",
        postgresql_where=sa.text("state = 'running'"),
    )
    op.drop_index("ix_unlearning_run_model_id_created_at", table_name="unlearning_run")
    op.drop_table("unlearning_run")
    op.drop_index(
        "ix_sample_probe",
        table_name="sample",
        postgresql_where=sa.text("forgotten_version IS NULL"),
    )
    op.drop_index(
        "ix_sample_forgotten",
        table_name="sample",
        postgresql_where=sa.text("forgotten_version IS NOT NULL"),
    )
    op.drop_table("sample")
    op.drop_table("lease")
    op.drop_table("fisher_sums")
    op.drop_index(
        "ix_deletion_request_pending",
        table_name="deletion_request",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_table("deletion_request")
    op.drop_table("registered_model")
    op.execute("DROP FUNCTION audit_record_refuse()")
