"""One write is one transaction of four round trips: lock, look, write, COMMIT.

1. The document's advisory lock, together with BEGIN. Whoever may create or delete a document holds it, so that of two
   creators the second waits for the first instead of drawing its revision too early, and so that a transaction gets
   its number (`xid`) only after the lock: the changes of one document have growing revisions *and* numbers.
2. What is there: the document's row, locked against writers of its elements, and the idempotency record. It is a
   statement of its own, because a statement sees what was committed before it began, not what it waited for.
3. All rows of the change in one statement: document, elements, terms, outbox, idempotency record.
4. COMMIT (`Session.commit`).

Between 1 and 4 the client only decides; the locks are held for as long as it takes to answer three times.
"""

from collections.abc import Sequence
from typing import assert_never

from titan.store.contract import (
    IDEMPOTENCY_KEPT_S,
    AlreadyExists,
    Document,
    Done,
    Element,
    Idempotency,
    IdempotencyMismatch,
    IdempotencyRunning,
    IfMatch,
    IfNoneMatch,
    Kind,
    NotFound,
    Precondition,
    PreconditionFailed,
    Refused,
    Replayed,
    StoreDamaged,
    WriteMode,
    WriteOutcome,
)
from titan.store.postgres import blob_rows
from titan.store.postgres.codes import (
    CREATED,
    DELETED,
    KIND,
    NOW_MS,
    POSITION_STEP,
    REPLACED,
    claim_keys,
    digest,
    done,
    lock_key,
    pack_terms,
    term,
    terms_of,
)
from titan.store.postgres.session import Row, Session

EXPIRED_PER_RECORD = 8
"""How many expired idempotency records each new one sweeps away: the table stays as small as a day's traffic."""

_KEPT_MS = IDEMPOTENCY_KEPT_S * 1000

# With an idempotency key: try to claim it, and wait for the document only where that succeeded.
_LOCK = "SELECT pg_advisory_xact_lock({lock})"
_CLAIM_AND_LOCK = """
SELECT set_config('titan.claimed', pg_try_advisory_xact_lock({claim[0]}, {claim[1]})::text, true);
SELECT pg_advisory_xact_lock({lock}) WHERE current_setting('titan.claimed')::boolean
"""

_LOOK = f"""
SELECT current_setting('titan.claimed', true) IS NOT DISTINCT FROM 'false' AS is_running,
       i.request, i.outcome, i.revision AS first_revision, i.modified_ms AS first_modified_ms,
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
SELECT revision, modified_ms FROM document
"""

_CREATE = f"""
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
_REPLACE = f"""
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

_DELETE = f"""
WITH document AS (
  DELETE FROM titan_document WHERE n = $3 RETURNING nextval('titan_revision') AS revision, {NOW_MS} AS modified_ms
),
old_elements AS (DELETE FROM titan_element WHERE n = $3),
old_terms AS (DELETE FROM titan_term WHERE n = $3),
told AS (
  INSERT INTO titan_outbox (revision, kind, type, modified_ms, id)
  SELECT revision, $1, {DELETED}, modified_ms, $2 FROM document
)
SELECT revision, modified_ms FROM document
"""

# A replay writes nothing, so its COMMIT would not wait for a synchronous standby, although what it tells may be there
# only because a COMMIT was cut short. This makes it a transaction that waits, and leaves no row.
_WAIT_FOR_STANDBY = "SELECT pg_logical_emit_message(true, 'titan', '')"


async def write(
    session: Session,
    document: Document,
    mode: WriteMode,
    precondition: Precondition | None,
    idempotency: Idempotency | None,
) -> WriteOutcome:
    """Write a whole document; see `titan.store.contract.Store.write`."""
    id_digest = digest(document.id)
    row = await _lock_and_look(session, document.kind, document.id, id_digest, idempotency)
    refused = _earlier(row, idempotency) or judge(mode, precondition, row["revision"])
    if refused is not None:
        await _end(session, refused)
        return refused
    key = (None, None) if idempotency is None else (idempotency.scope, idempotency.request)
    content = (KIND[document.kind], document.id, *_content(document), *key)
    if row["n"] is None:
        code, made = CREATED, await session.row(_CREATE, *content, id_digest)
    else:
        code, made = REPLACED, await session.row(_REPLACE, *content, row["n"])
    if document.blobs or row["names_blobs"]:
        await blob_rows.set_uses(session, document.kind, id_digest, document.blobs)
    return await _commit(session, code, made)


async def delete(session: Session, kind: Kind, document_id: str, precondition: Precondition | None) -> WriteOutcome:
    """Delete a document; see `titan.store.contract.Store.delete`."""
    id_digest = digest(document_id)
    row = await _lock_and_look(session, kind, document_id, id_digest, None)
    refused = judge(WriteMode.REPLACE, precondition, row["revision"])
    if refused is not None:
        await session.rollback()
        return refused
    if row["names_blobs"]:
        await blob_rows.set_uses(session, kind, id_digest, frozenset())
    return await _commit(session, DELETED, await session.row(_DELETE, KIND[kind], document_id, row["n"]))


def judge(mode: WriteMode, precondition: Precondition | None, current: int | None) -> Refused | None:
    """Say why a write is refused, None where it is not; `current` is the revision of what is there."""
    if current is None and mode is WriteMode.REPLACE:
        return NotFound()  # RFC 9110 13.2.1: no precondition hides a 404
    if precondition is not None and not _holds(precondition, current):
        return PreconditionFailed(current)
    if current is not None and mode is WriteMode.CREATE:
        return AlreadyExists(current)
    return None


def _holds(precondition: Precondition, current: int | None) -> bool:
    matches = current is not None and (not precondition.revisions or current in precondition.revisions)
    match precondition:
        case IfMatch():
            return matches
        case IfNoneMatch():
            return not matches
    assert_never(precondition)


async def _lock_and_look(
    session: Session, kind: Kind, document_id: str, id_digest: bytes, idempotency: Idempotency | None
) -> Row:
    lock = lock_key(kind, id_digest)
    if idempotency is None:
        await session.begin(_LOCK.format(lock=lock))
    else:
        await session.begin(_CLAIM_AND_LOCK.format(lock=lock, claim=claim_keys(idempotency.scope)))
    row = await session.row(_LOOK, KIND[kind], id_digest, idempotency and idempotency.scope)
    assert row is not None
    if row["n"] is not None and row["id"] != document_id:
        raise StoreDamaged(f"the digest of the id {document_id!r} leads to the document {row['id']!r}")
    return row


def _earlier(row: Row, idempotency: Idempotency | None) -> Replayed | IdempotencyMismatch | IdempotencyRunning | None:
    """Return what the idempotency key says of an earlier request, None where there was none."""
    if idempotency is None:
        return None
    if row["is_running"]:
        return IdempotencyRunning()
    if row["request"] is None:
        return None
    if row["request"] != idempotency.request:
        return IdempotencyMismatch()
    return Replayed(done(row["outcome"], row["first_revision"], row["first_modified_ms"]))


async def _end(session: Session, refused: Refused | Replayed) -> None:
    if isinstance(refused, Replayed):
        await session.row(_WAIT_FOR_STANDBY)
        await session.commit()
    else:
        await session.rollback()


async def _commit(session: Session, code: int, made: Row | None) -> Done:
    assert made is not None
    await session.commit()
    return done(code, made["revision"], made["modified_ms"])


def _content(document: Document) -> tuple[object, ...]:
    """Return $3 to $13."""
    elements = document.elements or ()
    contents = [element.content for element in elements]
    plains = [element.content_without_blobs for element in elements]
    starts, plain_starts = _starts([*contents, *plains], len(elements))
    return (
        document.header,
        document.elements is not None,
        _bytes(document.header, [_plain(element) for element in elements]),
        _bytes(document.header, contents),
        [element.id_short for element in elements],
        starts,
        [str(len(content)) for content in contents],
        plain_starts,
        [None if plain is None else str(len(plain)) for plain in plains],
        b"".join([*contents, *filter(None, plains)]),
        pack_terms(map(term, document.terms)),
    )


def _starts(parts: Sequence[bytes | None], middle: int) -> tuple[list[str | None], list[str | None]]:
    """Return where each part begins once they stand one after the other, counted from 1; in two halves."""
    starts: list[str | None] = []
    start = 1
    for part in parts:
        starts.append(None if part is None else str(start))
        start += len(part or b"")
    return starts[:middle], starts[middle:]


def _plain(element: Element) -> bytes:
    return element.content if element.content_without_blobs is None else element.content_without_blobs


def _bytes(header: bytes, elements: Sequence[bytes]) -> int:
    """Return about how many bytes a read will give."""
    return len(header) + sum(len(element) + 1 for element in elements)
