"""The statements of a write; `writes` says what they are for and in what order."""

from titan.store.contract import IDEMPOTENCY_KEPT_S
from titan.store.postgres.codes import CREATED, DELETED, NOW_MS, POSITION_STEP, REPLACED, terms_of

EXPIRED_PER_RECORD = 8
"""How many expired idempotency records each new one sweeps away: the table stays as small as a day's traffic."""

_KEPT_MS = IDEMPOTENCY_KEPT_S * 1000

# With an idempotency key: try to claim it, and wait for the document only where that succeeded.
LOCK = "SELECT pg_advisory_xact_lock({lock})"
CLAIM_AND_LOCK = """
SELECT set_config('titan.claimed', pg_try_advisory_xact_lock({claim[0]}, {claim[1]})::text, true);
SELECT pg_advisory_xact_lock({lock}) WHERE current_setting('titan.claimed')::boolean
"""

LOOK = f"""
SELECT current_setting('titan.claimed', true) IS NOT DISTINCT FROM 'false' AS is_running,
       i.request, i.outcome, i.revision AS first_revision, i.modified_ms AS first_modified_ms,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS horizon,
       d.n, d.id, d.revision, EXISTS (SELECT FROM titan_blob_use u WHERE u.n = d.n) AS names_blobs
FROM (VALUES (1)) AS always
LEFT JOIN titan_idempotency i ON i.scope = $3 AND i.created_ms > {NOW_MS} - {_KEPT_MS}
LEFT JOIN (
  SELECT n, id, revision FROM titan_document
  WHERE kind = $1 AND digest = $2 AND current_setting('titan.claimed', true) IS DISTINCT FROM 'false'
  FOR UPDATE
) AS d ON true
"""

# $1 kind, $2 id, $3 header, $4 has elements, $5 and $6 bytes without and with Blob values; of the elements $7 idShorts,
# $8 starts and $9 sizes of their contents, $10 and $11 the same of those without Blob values, all of it in $12;
# $13 terms; $14 scope and $15 request of the idempotency key.
# No arrays but of text: about every other type the driver would first ask the server, 15 ms on each new connection.
_SIZES = "$4::boolean, $5::bigint, $6::bigint"
_ELEMENTS = f"""(
  SELECT u.place * {POSITION_STEP} AS position, u.id_short,
    substring($12::bytea, u.start::int, u.size::int) AS content,
    substring($12::bytea, u.plain_start::int, u.plain_size::int) AS plain
  FROM unnest($7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
    WITH ORDINALITY AS u (id_short, start, size, plain_start, plain_size, place)
) AS e"""
_TERMS = terms_of("$13")
_RECORDS = f"""
told AS (
  INSERT INTO titan_outbox (revision, kind, type, modified_ms, id)
  SELECT revision, $1, {{code}}, modified_ms, $2 FROM document
),
swept AS (
  DELETE FROM titan_idempotency WHERE scope IN (
    SELECT scope FROM titan_idempotency
    WHERE $14::bytea IS NOT NULL AND created_ms <= {NOW_MS} - {_KEPT_MS} AND scope <> $14::bytea
    ORDER BY created_ms LIMIT {EXPIRED_PER_RECORD} FOR UPDATE SKIP LOCKED
  )
),
remembered AS (
  INSERT INTO titan_idempotency (scope, request, outcome, revision, modified_ms, created_ms)
  SELECT $14::bytea, $15::bytea, {{code}}, revision, modified_ms, modified_ms FROM document WHERE $14::bytea IS NOT NULL
  ON CONFLICT (scope) DO UPDATE SET
    request = excluded.request, outcome = excluded.outcome, revision = excluded.revision,
    modified_ms = excluded.modified_ms, created_ms = excluded.created_ms
)
SELECT revision, modified_ms, pg_current_xact_id()::text::bigint AS xid FROM document
"""

CREATE = f"""
WITH document AS (
  INSERT INTO titan_document
    (kind, id, header, has_elements, plain_bytes, full_bytes, digest, revision, modified_ms)
  VALUES ($1, $2, $3, {_SIZES}, $16, nextval('titan_revision'), {NOW_MS})
  RETURNING n, revision, modified_ms
),
new_elements AS (
  INSERT INTO titan_element (n, position, id_short, content_without_blobs, content)
  SELECT document.n, e.position, e.id_short, e.plain, e.content FROM document, {_ELEMENTS}
),
new_terms AS (
  INSERT INTO titan_term (kind, field, digest, n) SELECT $1, t.field, t.digest, document.n FROM document, {_TERMS}
),
{_RECORDS.format(code=CREATED)}
"""

# Elements and terms that stay as they are stay where they are: a change of one value writes one element.
REPLACE = f"""
WITH document AS (
  UPDATE titan_document SET header = $3, has_elements = $4::boolean, plain_bytes = $5::bigint, full_bytes = $6::bigint,
    revision = nextval('titan_revision'), modified_ms = {NOW_MS}
  WHERE n = $16
  RETURNING revision, modified_ms
),
old_elements AS (
  DELETE FROM titan_element
  WHERE n = $16 AND (position % {POSITION_STEP} <> 0 OR position > cardinality($7::text[]) * {POSITION_STEP}::bigint)
),
new_elements AS (
  INSERT INTO titan_element (n, position, id_short, content_without_blobs, content)
  SELECT $16, e.position, e.id_short, e.plain, e.content
  FROM {_ELEMENTS}
  LEFT JOIN titan_element same ON same.n = $16 AND same.position = e.position
    AND same.content = e.content AND same.content_without_blobs IS NOT DISTINCT FROM e.plain
    AND same.id_short IS NOT DISTINCT FROM e.id_short
  WHERE same.n IS NULL
  ON CONFLICT (n, position) DO UPDATE SET
    id_short = excluded.id_short, content_without_blobs = excluded.content_without_blobs, content = excluded.content
),
old_terms AS (
  DELETE FROM titan_term old
  WHERE old.n = $16 AND NOT EXISTS (SELECT FROM {_TERMS} WHERE t.field = old.field AND t.digest = old.digest)
),
new_terms AS (
  INSERT INTO titan_term (kind, field, digest, n) SELECT $1, t.field, t.digest, $16 FROM {_TERMS}
  ON CONFLICT DO NOTHING
),
{_RECORDS.format(code=REPLACED)}
"""

DELETE = f"""
WITH document AS (
  DELETE FROM titan_document WHERE n = $3 RETURNING nextval('titan_revision') AS revision, {NOW_MS} AS modified_ms
),
old_elements AS (DELETE FROM titan_element WHERE n = $3),
old_terms AS (DELETE FROM titan_term WHERE n = $3),
told AS (
  INSERT INTO titan_outbox (revision, kind, type, modified_ms, id)
  SELECT revision, $1, {DELETED}, modified_ms, $2 FROM document
)
SELECT revision, modified_ms, pg_current_xact_id()::text::bigint AS xid FROM document
"""

# A replay writes nothing, so its COMMIT would not wait for a synchronous standby, although what it tells may be there
# only because a COMMIT was cut short. This makes it a transaction that waits, and leaves no row.
WAIT_FOR_STANDBY = "SELECT pg_logical_emit_message(true, 'titan', '')"
