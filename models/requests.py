"""Deletion requests becoming rows: the one statement that inserts them with their items.

It is put together of constants; values are always parameters.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from models.records import RequestMode

# An item's first outcome, by what is known of its sample.
OUTCOME = """
    CASE WHEN sample.sample_id IS NULL THEN 'unknown'
         WHEN sample.weakened THEN 'weakened'
         WHEN sample.forgotten_version IS NOT NULL THEN 'already_forgotten'
         ELSE 'pending' END
"""

# Any number of requests with their items. Returns those that are new: a request whose ID or
# Idempotency-Key is there already is left out, with all that belongs to it. Keys are inserted in
# the same order by everybody, or two gateways could wait for each other.
ACCEPT = f"""
WITH request AS (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(models)s::uuid[], %(modes)s::text[], %(principals)s::text[],
        %(references)s::text[], %(deadlines)s::timestamptz[], %(keys)s::text[],
        %(digests)s::text[], %(duplicates)s::bigint[]
    ) AS request (
        id, model_id, mode, principal, reference, deadline, idempotency_key, body_digest, duplicates
    )
), item AS MATERIALIZED (
    SELECT request.id AS request_id, posted.position, request.model_id, posted.sample_id,
           {OUTCOME} AS outcome, sample.forgotten_version AS version
    FROM unnest(%(of)s::uuid[], %(positions)s::bigint[], %(sample_ids)s::text[])
         AS posted (request_id, position, sample_id)
    JOIN request ON request.id = posted.request_id
    LEFT JOIN sample
        ON sample.model_id = request.model_id AND sample.sample_id = posted.sample_id
), counted AS (
    SELECT request_id, sum(number)::bigint AS items, jsonb_object_agg(outcome, number) AS counts
    FROM (SELECT request_id, outcome, count(*) AS number FROM item GROUP BY 1, 2) AS grouped
    GROUP BY 1
), accepted AS (
    INSERT INTO deletion_request (
        id, model_id, state, mode, principal, reference, deadline, idempotency_key, body_digest,
        item_count, duplicate_count, accepted_counts, settled_at
    )
    SELECT id, model_id, CASE WHEN counts ? 'pending' THEN 'pending' ELSE 'settled' END, mode,
           principal, reference, deadline, idempotency_key, body_digest, items, duplicates, counts,
           CASE WHEN counts ? 'pending' THEN NULL ELSE now() END
    FROM request JOIN counted ON counted.request_id = request.id
    ORDER BY principal, idempotency_key
    ON CONFLICT DO NOTHING
    RETURNING id, created_at, accepted_counts
), stored AS (
    INSERT INTO deletion_item (
        request_id, position, model_id, sample_id, outcome, version, settled_at
    )
    SELECT request_id, position, model_id, sample_id, outcome, version,
           CASE WHEN outcome = 'pending' THEN NULL ELSE now() END
    FROM item JOIN accepted ON accepted.id = item.request_id
)
SELECT id, created_at, accepted_counts FROM accepted
"""  # noqa: S608


@dataclass(frozen=True)
class NewRequest:
    """A deletion request that is to be rows; its sample IDs are distinct and keep their order."""

    id: uuid.UUID
    model_id: uuid.UUID
    mode: RequestMode
    principal: str
    reference: str | None
    deadline: datetime | None
    idempotency_key: str | None
    body_digest: str
    duplicates: int
    sample_ids: Sequence[str]


def insert_requests(session: Session, requests: Sequence[NewRequest]) -> dict[uuid.UUID, Row[Any]]:
    """Insert requests with their items, each of which looks its sample up for its first outcome.

    Returns `created_at` and `accepted_counts` of those that are new, by their IDs. A request whose
    ID or idempotency key is there already is left out.
    """
    rows = session.connection().exec_driver_sql(ACCEPT, _parameters(requests))
    return {row.id: row for row in rows}


def _parameters(requests: Sequence[NewRequest]) -> dict[str, list[Any]]:
    return {
        "ids": [new.id for new in requests],
        "models": [new.model_id for new in requests],
        "modes": [new.mode.value for new in requests],
        "principals": [new.principal for new in requests],
        "references": [new.reference for new in requests],
        "deadlines": [new.deadline for new in requests],
        "keys": [new.idempotency_key for new in requests],
        "digests": [new.body_digest for new in requests],
        "duplicates": [new.duplicates for new in requests],
        "of": [new.id for new in requests for _ in new.sample_ids],
        "positions": [n for new in requests for n in range(len(new.sample_ids))],
        "sample_ids": [name for new in requests for name in new.sample_ids],
    }
