"""The rows of blobs and of who names them, as the writer process changes them; see `transactions`."""

import sqlite3
from typing import Any

from titan.store.sqlite import wire

MARKED_AT_ONCE = 200
"""Blobs looked at in one transaction of a sweep: others wait for it."""

Reply = tuple[Any, ...]


def add(db: sqlite3.Connection, now_ms: int, key: str, size: int) -> Reply:
    """Note a blob whose content is on the disk; nothing names it yet."""
    db.execute("INSERT INTO blob (key, size, touched_ms, is_going) VALUES (?, ?, ?, 0)", (key, size, now_ms))
    return (wire.BLOB_ADDED,)


def set_uses(db: sqlite3.Connection, now_ms: int, n: int | None, keys: frozenset[str], *, is_new: bool) -> None:
    """Note which blobs the document names, and that it stopped naming others; only what differs is written."""
    before = set() if is_new else {key for (key,) in db.execute("SELECT key FROM blob_use WHERE n = ?", (n,))}
    for key in keys - before:
        db.execute("INSERT INTO blob_use (n, key) SELECT ?, key FROM blob WHERE key = ? AND NOT is_going", (n, key))
    for key in before - keys:
        db.execute("DELETE FROM blob_use WHERE n = ? AND key = ?", (n, key))
        db.execute("UPDATE blob SET touched_ms = ? WHERE key = ?", (now_ms, key))


def mark(db: sqlite3.Connection, now_ms: int, before_ms: int) -> Reply:
    """Look at the blobs longest untouched; those that nothing names go, and nothing can name them from now on.

    One that is named is touched: a sweep looks at it again when it would be due again.
    """
    found = db.execute(
        "SELECT key, EXISTS (SELECT 1 FROM blob_use u WHERE u.key = b.key) FROM blob b"
        " WHERE touched_ms < ? ORDER BY touched_ms LIMIT ?",
        (before_ms, MARKED_AT_ONCE),
    ).fetchall()
    touched_ms = max(now_ms, before_ms)  # not found again by this sweep
    going = tuple(key for key, is_named in found if not is_named)
    db.executemany("UPDATE blob SET touched_ms = ? WHERE key = ?", [(touched_ms, key) for key, named in found if named])
    db.executemany("UPDATE blob SET is_going = 1 WHERE key = ?", [(key,) for key in going])
    return (wire.BLOBS_MARKED, len(found), going)


def forget(db: sqlite3.Connection, _now_ms: int, keys: tuple[str, ...]) -> Reply:
    """Forget blobs whose files are gone."""
    db.executemany("DELETE FROM blob WHERE key = ? AND is_going", [(key,) for key in keys])
    return (wire.BLOBS_FORGOTTEN,)
