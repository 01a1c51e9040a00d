"""Tasks of leaders, as the writer process notes them and readers read them; see `transactions`."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from titan.store.due import wait_ms
from titan.store.sqlite import sync_rows, wire

EXPIRED_AT_ONCE = 1000
"""Rows deleted in one transaction: others wait for it."""

IDEMPOTENCY_KEY = 1
EVENT_CURSOR = 2
SYNC_RECORD = 3

_EXPIRING = {
    IDEMPOTENCY_KEY: ("idempotency", "scope", "created_ms"),
    EVENT_CURSOR: ("cursor", "name", "kept_ms"),
}
"""What expires row by row: its table, key, and when it came. How long it is kept comes with the request."""

Reply = tuple[Any, ...]
Figure = tuple[str, str, int]


def request(db: sqlite3.Connection, now_ms: int, names: Sequence[str]) -> Reply:
    """Note that a run of each of these is wanted."""
    db.executemany(
        "INSERT INTO task (name, due_ms, requested_ms) VALUES (?1, ?2, ?2)"
        " ON CONFLICT (name) DO UPDATE SET requested_ms = ?2",
        [(name, now_ms) for name in names],
    )
    return (wire.TASK_NOTED, now_ms)


def begin(db: sqlite3.Connection, now_ms: int, name: str, every_ms: int) -> Reply:
    """Begin a run if it is due."""
    db.execute("INSERT INTO task (name, due_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, now_ms))
    due_ms, requested_ms, started_ms, is_running, failures = db.execute(
        "SELECT due_ms, requested_ms, started_ms, is_running, failures FROM task WHERE name = ?", (name,)
    ).fetchone()
    left_ms = wait_ms(
        now_ms,
        every_ms,
        due_ms=due_ms,
        requested_ms=requested_ms,
        started_ms=started_ms,
        is_running=bool(is_running),
    )
    if left_ms:
        return (wire.TASK_NOT_DUE, left_ms)
    db.execute("UPDATE task SET started_ms = ?, is_running = 1 WHERE name = ?", (now_ms, name))
    return (wire.TASK_BEGUN, now_ms, failures, bool(is_running))


def end(
    db: sqlite3.Connection,
    now_ms: int,
    name: str,
    outcome: tuple[str, bool],
    detail: str,
    due_in_ms: int,
    figures: Sequence[Figure] | None,
) -> Reply:
    """Note how a run ended, and what it counted."""
    word, is_good = outcome
    db.execute(
        "UPDATE task SET is_running = 0, ended_ms = :now, outcome = :word, detail = :detail, due_ms = :now + :due_in,"
        " succeeded_ms = CASE WHEN :good THEN :now ELSE succeeded_ms END,"
        " failures = CASE WHEN :good THEN 0 ELSE failures + 1 END, runs = runs + 1,"
        " requested_ms = CASE WHEN requested_ms > started_ms THEN requested_ms END WHERE name = :name",
        {"now": now_ms, "word": word, "detail": detail, "due_in": due_in_ms, "good": is_good, "name": name},
    )
    if figures is not None:
        db.execute("DELETE FROM figure")
        db.executemany("INSERT INTO figure (name, label, value) VALUES (?, ?, ?)", figures)
    return (wire.TASK_NOTED,)


def expire(db: sqlite3.Connection, now_ms: int, what: int, kept_ms: int) -> Reply:
    """Forget some of what has expired."""
    if what == SYNC_RECORD:
        return (wire.EXPIRED, sync_rows.expire(db, now_ms - kept_ms, EXPIRED_AT_ONCE))
    table, key, age = _EXPIRING[what]
    gone = db.execute(
        f"DELETE FROM {table} WHERE {key} IN"  # noqa: S608 (constants)
        f" (SELECT {key} FROM {table} WHERE {age} <= ? ORDER BY {age} LIMIT ?)",
        (now_ms - kept_ms, EXPIRED_AT_ONCE),
    ).rowcount
    return (wire.EXPIRED, gone)


def look(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return every task's row, by name."""
    return db.execute(
        "SELECT name, due_ms, requested_ms, started_ms, is_running, ended_ms, outcome, detail, succeeded_ms, failures,"
        " runs FROM task ORDER BY name"
    ).fetchall()


def figures(db: sqlite3.Connection) -> list[Figure]:
    """Return the figures that are kept."""
    return db.execute("SELECT name, label, value FROM figure ORDER BY name, label").fetchall()
