"""Audit records in flight: up to which number none can come any more.

Records get their numbers when they are inserted and can be seen once they are committed, so one may
be seen before another that has a lower number. Whoever inserts therefore says, until its
transaction has ended, after which number its records come: by a lock that nobody waits for, taken
before a number is given. It is read from the list of locks.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Of the locks' keys the upper 16 bits are 24949, which nobody else uses; the others are the number.
ANNOUNCE = """
CREATE FUNCTION audit_record_announce() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given bigint := coalesce(pg_sequence_last_value('audit_record_sequence_seq'), 0);
BEGIN
    PERFORM pg_advisory_xact_lock_shared((24949::bigint << 48) | given);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_record_announced BEFORE INSERT ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION audit_record_announce();
"""
# The last number is read before the locks: who takes one in between gets a higher number.
COMPLETE_TO = """
CREATE FUNCTION audit_records_complete_to() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    given bigint := coalesce(pg_sequence_last_value('audit_record_sequence_seq'), 0);
BEGIN
    RETURN least(given, (
        SELECT min(((classid::bigint & 65535) << 32) | objid::bigint)
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND (classid::bigint >> 16) = 24949
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ));
END
$$
"""


def upgrade() -> None:
    op.execute(ANNOUNCE)
    op.execute(COMPLETE_TO)


def downgrade() -> None:
    op.execute("DROP FUNCTION audit_records_complete_to()")
    op.execute("DROP TRIGGER audit_record_announced ON audit_record")
    op.execute("DROP FUNCTION audit_record_announce()")
