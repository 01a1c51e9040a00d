"""Files in PostgreSQL: content in chunks, each written and read by a short transaction of its own.

Nothing is held while a client is slow: neither a connection nor a lock, and no transaction that would keep vacuum from
its work. Chunks are committed without waiting for the disk; the last transaction of an upload waits, and what was
written to the log before it is on the disk with it, here and on a synchronous standby.

A document's writer locks the row of each file that it begins to name, and a sweep the rows that it looks at; so a file
is either named first and stays, or goes first and cannot be named.
"""

from titan.store.codes import KIND
from titan.store.contract import Fence, Kind
from titan.store.postgres import terms
from titan.store.postgres.codes import NOW_MS
from titan.store.postgres.session import Session

EXAMINED_AT_ONCE = 100
REMOVED_AT_ONCE = 32
"""Chunks deleted in one transaction (8 MiB), well within a statement's time."""

COMING, THERE, GOING = 0, 1, 2

_LATER = "SET LOCAL synchronous_commit = off"
_BEGIN = f"""
INSERT INTO titan_blob (size, touched_ms, state) VALUES (0, {NOW_MS}, {COMING}) RETURNING n
"""
_APPEND = f"""
WITH blob AS (
  UPDATE titan_blob SET size = size + length($3::bytea), touched_ms = {NOW_MS}
  WHERE n = $1 AND state = {COMING} RETURNING n
)
INSERT INTO titan_blob_chunk (blob, number, content) SELECT n, $2, $3 FROM blob RETURNING number
"""
_FINISH = f"""
UPDATE titan_blob SET key = $2, state = {THERE}, touched_ms = {NOW_MS}
WHERE n = $1 AND state = {COMING} AND size = $3 RETURNING n
"""
_GIVE_UP = f"UPDATE titan_blob SET state = {GOING} WHERE n = $1 AND state = {COMING}"
_LOOK = f"""
SELECT b.n, b.size, coalesce(substring(c.content FROM 1 FOR $2), '') AS head
FROM titan_blob b LEFT JOIN titan_blob_chunk c ON c.blob = b.n AND c.number = 0
WHERE b.key = $1 AND b.state = {THERE}
"""
_CHUNK = "SELECT content FROM titan_blob_chunk WHERE blob = $1 AND number = $2"
_SET_USES = f"""
WITH document AS (SELECT n FROM titan_document WHERE kind = $1 AND digest = $2),
gone AS (
  DELETE FROM titan_blob_use u USING document d, titan_blob b
  WHERE u.n = d.n AND b.n = u.blob AND b.key <> ALL ($3::text[]) RETURNING u.blob
),
let_go AS (UPDATE titan_blob SET touched_ms = {NOW_MS} WHERE n IN (SELECT blob FROM gone)),
named AS (SELECT n FROM titan_blob WHERE key = ANY ($3::text[]) AND state = {THERE} FOR KEY SHARE)
INSERT INTO titan_blob_use (n, blob) SELECT document.n, named.n FROM document, named ON CONFLICT DO NOTHING
"""
_EXAMINE = f"""
SELECT array_agg(n) AS found FROM (
  SELECT n FROM titan_blob WHERE touched_ms < $1 ORDER BY touched_ms LIMIT {EXAMINED_AT_ONCE} FOR UPDATE SKIP LOCKED
) AS old
"""
# A statement of its own, so that it sees the uses that were committed while the one before waited for nothing else.
_MARK = f"""
WITH judged AS (
  SELECT n, state = {THERE} AND EXISTS (SELECT FROM titan_blob_use u WHERE u.blob = b.n) AS is_named
  FROM titan_blob b WHERE n = ANY ($1::bigint[])
),
named AS (
  UPDATE titan_blob SET touched_ms = greatest({NOW_MS}, $2) WHERE n IN (SELECT n FROM judged WHERE is_named)
),
going AS (
  UPDATE titan_blob SET state = {GOING} WHERE n IN (SELECT n FROM judged WHERE NOT is_named) RETURNING n
)
SELECT array_agg(n) AS going FROM going
"""
_REMOVE_SOME = f"""
DELETE FROM titan_blob_chunk WHERE blob = $1 AND number IN (
  SELECT number FROM titan_blob_chunk WHERE blob = $1 ORDER BY number LIMIT {REMOVED_AT_ONCE}
) RETURNING number
"""
_REMOVE = f"DELETE FROM titan_blob WHERE n = $1 AND state = {GOING} RETURNING n"


async def begin(session: Session) -> int:
    """Begin an upload; return its number."""
    await session.begin(_LATER)
    row = await session.row(_BEGIN)
    assert row is not None
    await session.commit()
    return int(row["n"])


async def append(session: Session, n: int, number: int, content: bytes) -> bool:
    """Add a chunk; False where the upload is no more."""
    await session.begin(_LATER)
    is_there = await session.row(_APPEND, n, number, content) is not None
    await session.commit()
    return is_there


async def finish(session: Session, n: int, key: str, size: int) -> bool:
    """Make a file of an upload, for good; False where the upload is no more."""
    await session.begin()
    is_there = await session.row(_FINISH, n, key, size) is not None
    await session.commit()
    return is_there


async def give_up(session: Session, n: int) -> None:
    """Let an upload go that was not finished."""
    await session.begin(_LATER)
    await session.row(_GIVE_UP, n)
    await session.commit()


async def look(session: Session, key: str, head_bytes: int) -> tuple[int, int, bytes] | None:
    """Return a file's number, size and first bytes, None where there is none."""
    row = await session.read_row(_LOOK, key, head_bytes)
    return None if row is None else (row["n"], row["size"], row["head"])


async def chunk(session: Session, n: int, number: int) -> bytes | None:
    """Return one chunk of a file."""
    row = await session.read_row(_CHUNK, n, number)
    return None if row is None else row["content"]


async def set_uses(session: Session, kind: Kind, digest: bytes, keys: frozenset[str]) -> None:
    """Note which files a document names, within the transaction that writes it."""
    await session.row(_SET_USES, KIND[kind], digest, sorted(keys))


async def mark(session: Session, before_ms: int, fence: Fence) -> tuple[int, list[int]]:
    """Look at the files longest untouched; return how many, and the numbers of those to be removed.

    One that is named is touched: a sweep looks at it again when it would be due again.
    """
    await session.begin()
    await terms.hold(session, fence)
    examined = await session.row(_EXAMINE, before_ms)
    assert examined is not None
    found = examined["found"] or []
    marked = await session.row(_MARK, found, before_ms) if found else None
    await session.commit()
    return len(found), (marked and marked["going"]) or []


async def remove(session: Session, n: int, fence: Fence | None = None) -> bool:
    """Remove some of a marked file; True once all of it is gone. Who marked its own needs no fence."""
    await session.begin(_LATER)
    await terms.hold(session, fence)
    more = await session.row(_REMOVE_SOME, n) is not None
    if not more:
        await session.row(_REMOVE, n)
    await session.commit()
    return not more
