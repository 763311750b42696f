"""Following the audit log: records are read up to where none can be missing."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def complete_to(session: Session) -> int:
    """The number up to which all records there will ever be can be seen, from now on.

    Only a transaction of this database that has written a record and has not ended holds it back;
    a publication does so while it writes its journal.
    """
    number: int = session.execute(select(func.audit_records_complete_to())).scalar_one()
    return number
