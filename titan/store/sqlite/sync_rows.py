"""The records of other servers' documents, as the writer process changes them and readers read them."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from titan.store.sqlite import wire

Reply = tuple[Any, ...]
Row = tuple[int, str, str | None, bytes | None, bytes | None, int, int]
"""Kind, id, entity tag, digest, digest of what gave way, revision, is a copy."""
Place = tuple[int, str, str | None, int]
"""Kind, which list, cursor, is listed."""

_COLUMNS = "kind, id, etag, digest, gave_way, revision, is_copy"


def begin(db: sqlite3.Connection, now_ms: int, source: str, origin: bytes, scope: bytes) -> Reply:
    """Begin or go on with a pull; the reply is the place, or nothing."""
    before = db.execute("SELECT origin, scope FROM sync_source WHERE source = ?", (source,)).fetchone()
    if before is not None and before[0] != origin:
        db.execute("DELETE FROM sync_document WHERE source = ?", (source,))
    if before != (origin, scope):
        db.execute(
            "INSERT OR REPLACE INTO sync_source (source, origin, scope, is_listed) VALUES (?, ?, ?, 0)",
            (source, origin, scope),
        )
    db.execute("UPDATE sync_source SET begun_ms = ? WHERE source = ?", (now_ms, source))
    place = db.execute(
        "SELECT kind, listed_by, cursor, is_listed FROM sync_source WHERE source = ? AND kind IS NOT NULL", (source,)
    ).fetchone()
    return (wire.SYNC_DONE, *(place or ()))


def note(
    db: sqlite3.Connection,
    _now_ms: int,
    source: str,
    kind: int,
    rows: Sequence[Row],
    forget: Sequence[str],
    place: Place | None,
) -> Reply:
    """Keep some records, forget others, and keep the place if there is one."""
    db.executemany(
        f"INSERT OR REPLACE INTO sync_document (source, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (constant)
        [(source, *row) for row in rows],
    )
    db.executemany(
        "DELETE FROM sync_document WHERE source = ? AND kind = ? AND id = ?", [(source, kind, each) for each in forget]
    )
    if place is not None:
        db.execute(
            "UPDATE sync_source SET kind = ?, listed_by = ?, cursor = ?, is_listed = ? WHERE source = ?",
            (*place, source),
        )
    return (wire.SYNC_DONE,)


def finish(db: sqlite3.Connection, _now_ms: int, source: str) -> Reply:
    """Forget the place."""
    db.execute(
        "UPDATE sync_source SET kind = NULL, listed_by = NULL, cursor = NULL, is_listed = 0 WHERE source = ?",
        (source,),
    )
    return (wire.SYNC_DONE,)


def expire(db: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Forget some records of sources whose last pull began before that, at last the sources; return how many."""
    old = "SELECT source FROM sync_source WHERE begun_ms <= ?"
    gone = db.execute(
        "DELETE FROM sync_document WHERE (source, kind, id) IN"  # noqa: S608 (constant)
        f" (SELECT source, kind, id FROM sync_document WHERE source IN ({old}) LIMIT ?)",
        (before_ms, limit),
    ).rowcount
    if gone < limit:
        gone += db.execute(f"DELETE FROM sync_source WHERE source IN ({old})", (before_ms,)).rowcount  # noqa: S608
    return gone


def look(db: sqlite3.Connection, source: str, kind: int, ids: Sequence[str]) -> list[Row]:
    """Return what is known of these documents."""
    marks = ", ".join("?" * len(ids))
    return db.execute(
        f"SELECT {_COLUMNS} FROM sync_document WHERE source = ? AND kind = ? AND id IN ({marks})",  # noqa: S608 (marks)
        (source, kind, *ids),
    ).fetchall()


def followed(db: sqlite3.Connection, source: str, kind: int, after: str, limit: int) -> list[Row]:
    """Return some records, in order of their ids."""
    return db.execute(
        f"SELECT {_COLUMNS} FROM sync_document"  # noqa: S608 (constant)
        " WHERE source = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?",
        (source, kind, after, limit),
    ).fetchall()
