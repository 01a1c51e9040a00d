"""Terms of leaders, as the writer process begins and compares them; see `transactions`."""

import sqlite3
from collections.abc import Callable
from typing import Any

from titan.store.sqlite import wire

Fence = tuple[str, int]
"""Role and epoch."""
Reply = tuple[Any, ...]


def begin(db: sqlite3.Connection, now_ms: int, role: str, holder: str) -> Reply:
    """Begin the next term of a role."""
    (epoch,) = db.execute(
        "INSERT INTO epoch (role, epoch, holder, began_ms) VALUES (?, 1, ?, ?) ON CONFLICT (role)"
        " DO UPDATE SET epoch = epoch + 1, holder = excluded.holder, began_ms = excluded.began_ms RETURNING epoch",
        (role, holder, now_ms),
    ).fetchone()
    return (wire.TERM_BEGUN, epoch)


def fenced(operation: Callable[..., Reply]) -> Callable[..., Reply]:
    """Return the operation with a fence as its first argument, None for none: refused where that term is over."""

    def refuse_or_do(db: sqlite3.Connection, now_ms: int, fence: Fence | None, *arguments: Any) -> Reply:
        if fence is not None:
            role, epoch = fence
            found = db.execute("SELECT epoch FROM epoch WHERE role = ?", (role,)).fetchone()
            current = 0 if found is None else found[0]
            if current != epoch:
                return (wire.DEPOSED, role, epoch, current)
        return operation(db, now_ms, *arguments)

    return refuse_or_do
