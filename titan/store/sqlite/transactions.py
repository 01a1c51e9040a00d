"""What one request does to the database: plain functions over a connection that is inside a transaction.

They run in the writer process, one request after the other, each in a savepoint of its own. Nothing here begins, ends
or knows the batch. Requests and replies are the tuples of `wire`.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from titan.store.sqlite import blob_rows, cursor_rows, sync_rows, task_rows, terms, wire
from titan.store.sqlite.blob_rows import set_uses
from titan.store.sqlite.terms import fenced

IDEMPOTENCY_KEPT_MS = 24 * 3600 * 1000
EXPIRED_PER_RECORD = 8
"""How many expired idempotency records each new one sweeps away: the table stays as small as a day's traffic."""

TRIMMED_AT_ONCE = 5000
"""Rows of the outbox deleted in one transaction: others wait for it."""

POSITION_STEP = 1 << 20
"""Distance of neighbouring elements: 20 insertions at the same place before a submodel is numbered anew."""

TYPE_CREATED, TYPE_UPDATED, TYPE_DELETED = 1, 2, 3

Elements = tuple[tuple[str | None, bytes | None, bytes], ...]
"""Per element: idShort, content without Blob values (None where there are none), content."""
Document = tuple[int, str, bytes, Elements | None, tuple[tuple[int, bytes], ...], tuple[str, ...]]
"""Kind, id, header, elements, terms (field and digest), keys of the blobs that it names."""
Reply = tuple[Any, ...]


def write(
    db: sqlite3.Connection,
    now_ms: int,
    document: Document,
    mode: int,
    precondition: tuple[int, ...] | None,
    idempotency: tuple[bytes, bytes] | None,
) -> Reply:
    """Write a whole document; see `titan.store.contract.Store.write`."""
    kind, document_id, header, elements, terms, blobs = document
    if idempotency is not None and (earlier := _earlier(db, now_ms, *idempotency)) is not None:
        return earlier
    found = db.execute("SELECT n, revision FROM document WHERE kind = ? AND id = ?", (kind, document_id)).fetchone()
    current = None if found is None else found[1]
    if current is None and mode == wire.REPLACE:
        return (wire.NOT_FOUND,)
    if not _holds(precondition, current):
        return (wire.PRECONDITION_FAILED, current)
    if current is not None and mode == wire.CREATE:
        return (wire.ALREADY_EXISTS, current)
    revision = _announce(db, kind, TYPE_UPDATED if found else TYPE_CREATED, now_ms, document_id)
    row = (revision, now_ms, elements is not None, *_sizes(header, elements), header)
    if found:
        n = found[0]
        db.execute(
            "UPDATE document SET revision = ?, modified_ms = ?, has_elements = ?, plain_bytes = ?, full_bytes = ?,"
            " header = ? WHERE n = ?",
            (*row, n),
        )
        db.execute("DELETE FROM element WHERE n = ?", (n,))
    else:
        n = db.execute(
            "INSERT INTO document (revision, modified_ms, has_elements, plain_bytes, full_bytes, header, kind, id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, kind, document_id),
        ).lastrowid
    if elements:
        db.executemany(
            "INSERT INTO element (n, position, id_short, content_without_blobs, content) VALUES (?, ?, ?, ?, ?)",
            [(n, place * POSITION_STEP, *element) for place, element in enumerate(elements, start=1)],
        )
    _set_terms(db, kind, n, frozenset(terms), is_new=not found)
    set_uses(db, now_ms, n, frozenset(blobs), is_new=not found)
    code = wire.REPLACED if found else wire.CREATED
    if idempotency is not None:
        _remember(db, now_ms, *idempotency, code, revision)
    return (code, revision, now_ms)


def delete(
    db: sqlite3.Connection, now_ms: int, kind: int, document_id: str, precondition: tuple[int, ...] | None
) -> Reply:
    """Delete a document; see `titan.store.contract.Store.delete`."""
    found = db.execute("SELECT n, revision FROM document WHERE kind = ? AND id = ?", (kind, document_id)).fetchone()
    if found is None:
        return (wire.NOT_FOUND,)
    n, current = found
    if not _holds(precondition, current):
        return (wire.PRECONDITION_FAILED, current)
    db.execute("DELETE FROM term WHERE n = ?", (n,))
    set_uses(db, now_ms, n, frozenset(), is_new=False)
    db.execute("DELETE FROM element WHERE n = ?", (n,))
    db.execute("DELETE FROM document WHERE n = ?", (n,))
    return (wire.DELETED, _announce(db, kind, TYPE_DELETED, now_ms, document_id), now_ms)


def trim(db: sqlite3.Connection, _now_ms: int, before_ms: int) -> Reply:
    """Forget the oldest changes of before that time that no cursor needs, and note how far they are gone.

    At most `TRIMMED_AT_ONCE` of them.
    """
    (up_to,) = db.execute(
        "SELECT max(revision) FROM (SELECT revision FROM outbox WHERE revision <= ? AND revision <"
        " coalesce((SELECT min(revision) FROM outbox WHERE modified_ms >= ?), 1 << 62) ORDER BY revision LIMIT ?)",
        (cursor_rows.needed_from(db), before_ms, TRIMMED_AT_ONCE),
    ).fetchone()
    if up_to is None:
        return (wire.TRIMMED, 0)
    trimmed = db.execute("DELETE FROM outbox WHERE revision <= ?", (up_to,)).rowcount
    db.execute("INSERT OR REPLACE INTO titan_meta (name, value) VALUES ('trimmed', ?)", (str(up_to),))
    return (wire.TRIMMED, trimmed)


def probe(db: sqlite3.Connection, now_ms: int) -> Reply:
    """Write something that nobody misses, to learn whether there is room again."""
    db.execute("INSERT OR REPLACE INTO titan_meta (name, value) VALUES ('probed_ms', ?)", (str(now_ms),))
    return (wire.PROBED,)


def _earlier(db: sqlite3.Connection, now_ms: int, scope: bytes, request: bytes) -> Reply | None:
    """Return what to answer if this key was used in the last 24 h, else None."""
    record = db.execute(
        "SELECT request, outcome, revision, modified_ms, created_ms FROM idempotency WHERE scope = ?", (scope,)
    ).fetchone()
    if record is None or record[4] <= now_ms - IDEMPOTENCY_KEPT_MS:
        return None
    return (wire.REPLAYED, *record[1:4]) if record[0] == request else (wire.IDEMPOTENCY_MISMATCH,)


def _remember(db: sqlite3.Connection, now_ms: int, scope: bytes, request: bytes, code: int, revision: int) -> None:
    """Keep the outcome for retries and sweep away a few records that have expired."""
    db.execute(
        "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)", (scope, request, code, revision, now_ms, now_ms)
    )
    db.execute(
        "DELETE FROM idempotency WHERE scope IN"
        " (SELECT scope FROM idempotency WHERE created_ms <= ? ORDER BY created_ms LIMIT ?)",
        (now_ms - IDEMPOTENCY_KEPT_MS, EXPIRED_PER_RECORD),
    )


def _holds(precondition: tuple[int, ...] | None, current: int | None) -> bool:
    """Judge a precondition against the current revision, None where there is no document."""
    if precondition is None:
        return True
    tag, *revisions = precondition
    matches = current is not None and (not revisions or current in revisions)
    return matches if tag == wire.IF_MATCH else not matches


def _announce(db: sqlite3.Connection, kind: int, change: int, now_ms: int, document_id: str) -> int:
    """Write the change's row in the outbox; its number is the change's revision."""
    revision = db.execute(
        "INSERT INTO outbox (kind, type, modified_ms, id) VALUES (?, ?, ?, ?)", (kind, change, now_ms, document_id)
    ).lastrowid
    assert revision is not None
    return revision


def _set_terms(
    db: sqlite3.Connection, kind: int, n: int | None, terms: frozenset[tuple[int, bytes]], *, is_new: bool
) -> None:
    """Make the document findable by these terms and no others; only what differs is written."""
    before = frozenset() if is_new else frozenset(db.execute("SELECT field, digest FROM term WHERE n = ?", (n,)))
    if gone := before - terms:
        db.executemany(
            "DELETE FROM term WHERE kind = ? AND field = ? AND digest = ? AND n = ?",
            [(kind, *term, n) for term in gone],
        )
    if fresh := terms - before:
        db.executemany(
            "INSERT INTO term (kind, field, digest, n) VALUES (?, ?, ?, ?)", [(kind, *term, n) for term in fresh]
        )


def _sizes(header: bytes, elements: Elements | None) -> tuple[int, int]:
    """Return about how many bytes a read without and with Blob values will give."""
    plain = full = len(header)
    for _, without_blobs, content in elements or ():
        plain += len(content if without_blobs is None else without_blobs) + 1
        full += len(content) + 1
    return plain, full


OPERATIONS: dict[int, Callable[..., Reply]] = {
    wire.WRITE: fenced(write),
    wire.DELETE: fenced(delete),
    wire.TRIM: fenced(trim),
    wire.PROBE: probe,
    wire.ADD_BLOB: blob_rows.add,
    wire.MARK_BLOBS: fenced(blob_rows.mark),
    wire.FORGET_BLOBS: fenced(blob_rows.forget),
    wire.BEGIN_TERM: terms.begin,
    wire.SYNC_BEGIN: fenced(sync_rows.begin),
    wire.SYNC_NOTE: fenced(sync_rows.note),
    wire.SYNC_FINISH: fenced(sync_rows.finish),
    wire.TASK_REQUEST: task_rows.request,
    wire.TASK_BEGIN: fenced(task_rows.begin),
    wire.TASK_END: fenced(task_rows.end),
    wire.EXPIRE: fenced(task_rows.expire),
    wire.KEEP_CURSOR: fenced(cursor_rows.keep),
    wire.DROP_CURSOR: cursor_rows.drop,
}
