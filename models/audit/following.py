"""Following the audit log: records are read up to where none can be missing."""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.records import AuditRecord

LAST_GIVEN = text("SELECT pg_sequence_last_value('audit_record_sequence_seq')")


def complete_to(session: Session) -> int:
    """The last record up to which all there will ever be can be seen, from now on; 0 if none.

    Only a transaction of this database that has written a record and has not ended holds it back;
    a publication does so while it writes its journal.
    """
    number: int = session.execute(select(func.audit_records_complete_to())).scalar_one()
    # Numbers that were given and rolled back are left out: after a crash PostgreSQL may give them
    # once more, and whoever had been brought past them would miss that record. It never does so
    # with the number of a record that was committed.
    last = select(func.max(AuditRecord.sequence)).where(AuditRecord.sequence <= number)
    return session.scalar(last) or 0


def last_given(session: Session) -> int:
    """The highest number that any record can have by now, also one that is not committed."""
    given: int | None = session.scalar(LAST_GIVEN)
    return given or 0
