"""Accepting very many sample IDs at once: as they come they go into PostgreSQL, and stay nowhere.

One transaction holds all of it. A client that goes away, or a line that is wrong, ends it, and
nothing was changed.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Cursor
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.intake import statements
from app.intake.accepting import Intake
from app.intake.posted import Active, Posted
from app.intake.writing import Acceptance, acceptance, find_active, record, repeated, waiting
from app.schemas.deletion_requests import counts_from
from models.errors import ExpungeError, MalformedLine, TooManySamples
from models.failpoints import Failpoint, failpoint
from models.records import Outcome, RequestMode


@dataclass(frozen=True)
class RequestHeader:
    """What is posted beside the sample IDs."""

    model: str
    mode: RequestMode
    reference: str | None
    deadline: datetime | None
    principal: str
    idempotency_key: str | None


def accept_bulk(
    intake: Intake, header: RequestHeader, batches: Iterable[list[str]], max_ids: int
) -> Acceptance:
    """Take responsibility for a request whose sample IDs come in batches, or change nothing.

    Raises what `Intake.alone` raises, `TooManySamples`, `MalformedLine` if there is no line, and
    whatever `batches` raises.
    """
    with intake.allowances.reserving() as reserved:
        with intake.database.transaction() as session:
            posted = _posted(header)
            # Who cannot be served need not send everything first.
            find_active(session, posted)
            digest, total = _copy(session, header, batches, max_ids)
            posted = replace(posted, digest=digest)
            model = find_active(session, posted)
            outcome, distinct = _write(session, posted, model, total)
            if isinstance(outcome, ExpungeError):
                raise outcome
            if distinct is not None:
                count = outcome.answer.counts.get(Outcome.PENDING, 0)
                intake.require_allowed(session, reserved, posted.id, model, count)
            session.flush()
            failpoint(Failpoint.ACCEPT_BEFORE_COMMIT)
        reserved.keep(posted.id, waiting(posted, outcome))
        failpoint(Failpoint.ACCEPT_AFTER_COMMIT)
    return outcome


def _posted(header: RequestHeader) -> Posted:
    """Before its sample IDs have come: digest and duplicates are known afterwards."""
    return Posted(
        id=uuid.uuid4(),
        model=header.model,
        mode=header.mode,
        reference=header.reference,
        deadline=header.deadline,
        principal=header.principal,
        idempotency_key=header.idempotency_key,
        digest="",
        sample_ids=[],
        duplicates=0,
    )


def _copy(
    session: Session, header: RequestHeader, batches: Iterable[list[str]], max_ids: int
) -> tuple[str, int]:
    """Bring all sample IDs into a table of this transaction; the request's digest, and how many."""
    described = {
        "model": header.model,
        "mode": header.mode.value,
        "reference": header.reference,
        "deadline": header.deadline.isoformat() if header.deadline else None,
    }
    digest = hashlib.sha256(b"ndjson\n" + json.dumps(described, sort_keys=True).encode() + b"\n")
    total = 0
    session.execute(text(statements.BULK_TABLE))
    driver: Any = session.connection().connection.driver_connection
    cursor: Cursor[Any]
    with driver.cursor() as cursor, cursor.copy(statements.BULK_COPY) as copy:
        for batch in batches:
            total += len(batch)
            if total > max_ids:
                raise TooManySamples(
                    f"More than {max_ids} sample IDs were sent, which is the limit of one NDJSON "
                    "request. Send them in several requests."
                )
            # A sample ID holds no line break.
            lines = "\n".join(batch) + "\n"
            digest.update(lines.encode())
            copy.write(lines.replace("\\", "\\\\"))
    if not total:
        raise MalformedLine("The body holds no line. Send one sample ID a line.")
    return digest.hexdigest(), total


def _write(
    session: Session, posted: Posted, model: Active, total: int
) -> tuple[Acceptance | ExpungeError, int | None]:
    """The outcome, and how many distinct samples there are if the request is new."""
    execute = session.connection().exec_driver_sql
    values = {
        "id": posted.id,
        "model_id": model.id,
        "mode": posted.mode.value,
        "principal": posted.principal,
        "reference": posted.reference,
        "deadline": posted.deadline,
        "key": posted.idempotency_key,
        "digest": posted.digest,
    }
    created_at = execute(statements.BULK_REQUEST, values).scalar()
    if created_at is None:
        return repeated(session, posted, model), None
    distinct = execute(statements.BULK_ITEMS, values).rowcount
    counts = counts_from(execute(statements.BULK_COUNTS, values))
    posted = replace(posted, duplicates=total - distinct)
    outcome = acceptance(posted, model, counts, created_at)
    execute(
        statements.BULK_SETTLE,
        {
            **values,
            "state": outcome.answer.status,
            "items": distinct,
            "duplicates": posted.duplicates,
            "counts": json.dumps(counts),
        },
    )
    record(session, posted, model, counts)
    return outcome, distinct
