"""Durable cursors, as the writer process keeps them and readers read them; there is one writer, so nothing races."""

import sqlite3
from typing import Any

from titan.store.sqlite import wire

Reply = tuple[Any, ...]
Row = tuple[str, str, int]
"""Name, cursor, when it was kept."""

_IS_HERE = "identity = (SELECT value FROM titan_meta WHERE name = 'identity')"


def keep(db: sqlite3.Connection, now_ms: int, name: str, identity: str, behind: int) -> Reply:
    """Keep a cursor if it is of this database and all behind it is still there; the reply says whether it is."""
    kept = db.execute(
        "INSERT OR REPLACE INTO cursor (name, identity, behind, kept_ms) SELECT ?1, value, ?3, ?4 FROM titan_meta"
        " WHERE name = 'identity' AND value = ?2"
        " AND ?3 >= coalesce((SELECT CAST(value AS INTEGER) FROM titan_meta WHERE name = 'trimmed'), 0)"
        " AND ?3 <= coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)",
        (name, identity, behind, now_ms),
    ).rowcount
    return (wire.CURSOR_DONE, kept == 1)


def drop(db: sqlite3.Connection, _now_ms: int, name: str) -> Reply:
    """Forget a cursor."""
    return (wire.CURSOR_DONE, db.execute("DELETE FROM cursor WHERE name = ?", (name,)).rowcount == 1)


def needed_from(db: sqlite3.Connection) -> int:
    """Return the revision behind which some cursor of this database needs everything; a very great one for none."""
    found: int = db.execute(f"SELECT coalesce(min(behind), 1 << 62) FROM cursor WHERE {_IS_HERE}").fetchone()[0]  # noqa: S608
    return found


def look(db: sqlite3.Connection) -> list[Row]:
    """Return all of them, by name."""
    return db.execute("SELECT name, identity || '.' || behind, kept_ms FROM cursor ORDER BY name").fetchall()
