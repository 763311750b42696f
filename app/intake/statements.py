"""The statements by which requests are written down: as few round trips as there can be.

They are put together of constants; values are always parameters.
"""

# In the same round trip: whoever has the same Idempotency-Key is not waited for without end.
MODELS = """
SELECT id, name, state, policy_version, set_config('lock_timeout', %(lock_timeout)s, true)
FROM registered_model
WHERE name = ANY(%(names)s)
"""

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
