"""Reads every row of the store and says what is wrong with it, for `titan db check`.

Not looked for: damage of pages and indexes that reading every row does not meet; that is the business of PostgreSQL's
own pg_amcheck and data checksums.

One read-only transaction sees one state, so it may run beside servers; while it lasts, vacuum keeps what was deleted.
Contents come in batches of some MiB.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import asyncpg
import orjson

from titan.store.blobs import PIECE_BYTES, digest_of, is_key
from titan.store.postgres.blob_rows import THERE
from titan.store.postgres.codes import DELETED, digest
from titan.store.postgres.errors import Trouble, trouble, words
from titan.store.postgres.session import Row, Session
from titan.store.postgres.tools import schema_of, tool_session
from titan.store.postgres.url import PostgresUrl
from titan.store.schema import Schema, unfit

MOST_FINDINGS: Final = 100
BATCH_BYTES: Final = 4 << 20
BATCH_ROWS: Final = 1000

INVARIANTS: Final = {
    "an element of a document that does not exist": """
        SELECT n || ' at ' || position FROM titan_element e
        WHERE NOT EXISTS (SELECT FROM titan_document d WHERE d.n = e.n)
    """,
    "a search term of a document that does not exist": """
        SELECT n || ' field ' || field FROM titan_term t
        WHERE NOT EXISTS (SELECT FROM titan_document d WHERE d.n = t.n)
    """,
    "a search term of another kind than its document": """
        SELECT d.id FROM titan_term t JOIN titan_document d ON d.n = t.n WHERE d.kind <> t.kind
    """,
    "a document without elements that has some": """
        SELECT d.kind || ' ' || d.id FROM titan_document d
        WHERE NOT d.has_elements AND EXISTS (SELECT FROM titan_element e WHERE e.n = d.n)
    """,
    "a revision that was never drawn": """
        SELECT d.id FROM titan_document d WHERE d.revision > (SELECT last_value FROM titan_revision)
    """,
    "a document that is not as its newest change says": f"""
        SELECT o.kind || ' ' || o.id
        FROM (
          SELECT DISTINCT ON (kind, id) kind, id, type, revision FROM titan_outbox ORDER BY kind, id, revision DESC
        ) o LEFT JOIN titan_document d ON d.kind = o.kind AND d.id = o.id
        WHERE CASE WHEN o.type = {DELETED} THEN d.n IS NOT NULL ELSE d.revision IS DISTINCT FROM o.revision END
    """,
    # Changes are forgotten from the oldest on and by their time: what is newer than one that is kept is there.
    "a change that no row of the outbox tells, although earlier ones are there": """
        SELECT d.kind || ' ' || d.id
        FROM titan_document d, (SELECT revision, modified_ms FROM titan_outbox ORDER BY revision LIMIT 1) oldest
        WHERE d.revision > oldest.revision AND d.modified_ms >= oldest.modified_ms
          AND NOT EXISTS (
            SELECT FROM titan_outbox o WHERE o.revision = d.revision AND o.kind = d.kind AND o.id = d.id
          )
    """,
    "an idempotency record of a change that no row of the outbox tells, although earlier ones are there": """
        SELECT encode(i.scope, 'hex')
        FROM titan_idempotency i, (SELECT revision, modified_ms FROM titan_outbox ORDER BY revision LIMIT 1) oldest
        WHERE i.revision > oldest.revision AND i.modified_ms >= oldest.modified_ms
          AND NOT EXISTS (SELECT FROM titan_outbox o WHERE o.revision = i.revision AND o.type = i.outcome)
    """,
    "a file that a document which does not exist is said to name": """
        SELECT u.n || ' names ' || u.blob FROM titan_blob_use u
        WHERE NOT EXISTS (SELECT FROM titan_document d WHERE d.n = u.n)
    """,
    "a file that is named and not there": f"""
        SELECT u.n || ' names ' || u.blob FROM titan_blob_use u LEFT JOIN titan_blob b ON b.n = u.blob
        WHERE b.state IS DISTINCT FROM {THERE}
    """,
    "a piece of a file that does not exist": """
        SELECT c.blob || ' piece ' || c.number FROM titan_blob_chunk c
        WHERE NOT EXISTS (SELECT FROM titan_blob b WHERE b.n = c.blob)
    """,
}
"""What must never be; each query gives the rows that are."""

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


def _batches(columns: str, content: str, table: str, key: str, after: str) -> str:
    """Write the query for the next rows of a table in the order of its key, some MiB of `content` at most."""
    return f"""
    SELECT * FROM (
      SELECT *, sum(bytes) OVER (ORDER BY {key}) - bytes AS before FROM (
        SELECT {columns}, coalesce(length({content}), 0)::bigint AS bytes FROM {table}
        WHERE ({key}) > ({after}) ORDER BY {key} LIMIT {BATCH_ROWS}
      ) AS next
    ) AS sized WHERE before < {BATCH_BYTES} ORDER BY {key}
    """


_DOCUMENTS = _batches("n, kind, id, digest, header", "header", "titan_document", "n", "$1")
_ELEMENTS = _batches("n, position, content, content_without_blobs", "content", "titan_element", "n, position", "$1, $2")
_FILES = f"SELECT n, key, size FROM titan_blob WHERE n > $1 AND state = {THERE} ORDER BY n LIMIT {BATCH_ROWS}"
_PIECES = (
    f"SELECT number, content FROM titan_blob_chunk WHERE blob = $1 AND number > $2 ORDER BY number"
    f" LIMIT {BATCH_BYTES // PIECE_BYTES}"
)


async def examine(url: PostgresUrl) -> tuple[Schema | None, list[str]]:
    """Return the schema and what is wrong, one line each; nothing is looked for in a schema of another program.

    At most `MOST_FINDINGS` lines of each sort. Raises as `tool_session` does where the database cannot be read at all.
    """
    async with tool_session(url) as session:
        await session.begin(_SNAPSHOT)
        found = await schema_of(session)
        if unfit(found) is not None:
            return found, []
        lines: list[str] = []
        try:
            async with aclosing(_findings(session)) as findings:
                lines += [line async for line in findings]
        except asyncpg.PostgresError as error:
            if trouble(error) not in (None, Trouble.DAMAGED):
                raise
            lines.append(f"cannot be read to the end: {words(error)}")
        return found, lines


async def _findings(session: Session) -> AsyncGenerator[str, None]:
    for what, query in INVARIANTS.items():
        for row in await session.rows(f"{query} LIMIT {MOST_FINDINGS}"):
            (where,) = row.values()
            yield f"{what}: {where}"
    for scan in (
        _scan(session, _DOCUMENTS, ("n",), _wrong_document),
        _scan(session, _ELEMENTS, ("n", "position"), _wrong_element),
        _wrong_files(session),
    ):
        left = MOST_FINDINGS
        async with aclosing(scan):
            async for line in scan:
                yield line
                left -= 1
                if not left:
                    break


async def _scan(
    session: Session, query: str, key: tuple[str, ...], judge: Callable[[Row], str | None]
) -> AsyncGenerator[str, None]:
    """Read a table in the order of its key; yield what `judge` has against a row."""
    after: tuple[object, ...] = (0,) * len(key)
    while rows := await session.rows(query, *after):
        for row in rows:
            if (wrong := judge(row)) is not None:
                yield wrong
        after = tuple(rows[-1][name] for name in key)


def _wrong_document(row: Row) -> str | None:
    if row["digest"] != digest(row["id"]):
        return f"a document that is not found by its id: {row['kind']} {row['id']}"
    if not isinstance(_value(row["header"]), dict):
        return f"a document whose content is no JSON object: {row['kind']} {row['id']}"
    return None


def _wrong_element(row: Row) -> str | None:
    contents = filter(None, (row["content"], row["content_without_blobs"]))
    if row["content"] and all(isinstance(_value(content), dict) for content in contents):
        return None
    return f"an element whose content is no JSON object: {row['n']} at {row['position']}"


def _value(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


async def _wrong_files(session: Session) -> AsyncGenerator[str, None]:
    """Read every file whole: its size and its SHA-256, which its key begins with."""
    after = 0
    while files := await session.rows(_FILES, after):
        for file in files:
            sha256, size = await _read(session, file["n"])
            if not is_key(file["key"] or "") or (sha256, size) != (digest_of(file["key"]), file["size"]):
                yield f"a file with another content than it came with: {file['n']} {file['key']}"
        after = files[-1]["n"]


async def _read(session: Session, blob: int) -> tuple[str, int]:
    sha256, size, number = hashlib.sha256(), 0, -1
    while pieces := await session.rows(_PIECES, blob, number):
        for piece in pieces:
            sha256.update(piece["content"])
            size += len(piece["content"])
        number = pieces[-1]["number"]
    return sha256.hexdigest(), size
