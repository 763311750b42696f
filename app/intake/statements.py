"""The statements by which requests are written down: as few round trips as there can be.

They are put together of constants; values are always parameters. Requests that are not bulk are
inserted by `models.requests`.
"""

from models.requests import OUTCOME

# In the same round trip: whoever has the same Idempotency-Key is not waited for without end. The
# row is held until the request is written: no model is retired in between.
MODELS = """
SELECT id, name, state, policy_version, set_config('lock_timeout', %(lock_timeout)s, true)
FROM registered_model
WHERE name = ANY(%(names)s)
FOR KEY SHARE
"""

# How many training samples are forgotten or wait to be. What waits is read first and once: the
# table grows faster than the planner's statistics of it.
COUNT_ALL = """
WITH asked AS MATERIALIZED (
    SELECT DISTINCT item.sample_id
    FROM deletion_item AS item JOIN deletion_request AS request ON request.id = item.request_id
    WHERE item.model_id = %(model_id)s AND item.outcome = 'pending'
      AND (request.mode = 'delete' OR request.id = %(request_id)s)
)
SELECT (
    SELECT count(*) FROM sample
    WHERE model_id = %(model_id)s AND split = 'train' AND forgotten_version IS NOT NULL
) + (
    SELECT count(*) FROM asked JOIN sample USING (sample_id)
    WHERE model_id = %(model_id)s AND split = 'train' AND forgotten_version IS NULL
)
"""

# A bulk request: its sample IDs come into a table that lasts as long as the transaction.
BULK_TABLE = """
CREATE TEMPORARY TABLE posted (
    position bigint GENERATED ALWAYS AS IDENTITY (MINVALUE 0 START 0 CACHE 1000),
    sample_id text NOT NULL
) ON COMMIT DROP
"""
BULK_COPY = "COPY posted (sample_id) FROM STDIN"
BULK_REQUEST = """
INSERT INTO deletion_request (
    id, model_id, state, mode, principal, reference, deadline, idempotency_key, body_digest,
    item_count, duplicate_count, accepted_counts
)
VALUES (
    %(id)s, %(model_id)s, 'pending', %(mode)s, %(principal)s, %(reference)s, %(deadline)s, %(key)s,
    %(digest)s, 0, 0, '{}'
)
ON CONFLICT DO NOTHING
RETURNING created_at
"""
# The first occurrence of a sample ID keeps its position; later ones are duplicates.
BULK_ITEMS = f"""
INSERT INTO deletion_item (request_id, position, model_id, sample_id, outcome, version, settled_at)
SELECT %(id)s, position, %(model_id)s, sample_id, outcome, version,
       CASE WHEN outcome = 'pending' THEN NULL ELSE now() END
FROM (
    SELECT first.position, first.sample_id, {OUTCOME} AS outcome,
           sample.forgotten_version AS version
    FROM (
        SELECT sample_id, min(position) AS position FROM posted GROUP BY sample_id
    ) AS first
    LEFT JOIN sample ON sample.model_id = %(model_id)s AND sample.sample_id = first.sample_id
) AS item
ORDER BY position
"""  # noqa: S608
BULK_COUNTS = """
SELECT outcome, count(*) FROM deletion_item WHERE request_id = %(id)s GROUP BY outcome
"""
BULK_SETTLE = """
UPDATE deletion_request
SET state = %(state)s::text, item_count = %(items)s, duplicate_count = %(duplicates)s,
    accepted_counts = %(counts)s::jsonb,
    settled_at = CASE WHEN %(state)s::text = 'settled' THEN now() END
WHERE id = %(id)s
"""
