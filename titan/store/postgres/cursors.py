"""Durable cursors, and the trim of the outbox, which stops before them; see `titan.store.cursors.Cursors`.

A trim must not look at the cursors before one is kept and delete what it needs after: it locks the table of cursors
against changes until it ends, and who keeps one takes its place there before it looks whether it is too late.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from titan.store.contract import Fence
from titan.store.cursors import DurableCursor
from titan.store.postgres import terms
from titan.store.postgres.changes import ROWS_AT_ONCE, WHOSE, identity_of, is_kept
from titan.store.postgres.codes import NOW_MS
from titan.store.postgres.session import Row, Session
from titan.store.postgres.snapshots import NUMBER_MAX, Cursor, Snapshot

_STOP_CHANGES = "LOCK TABLE titan_cursor IN SHARE MODE"
_TAKE_A_PLACE = "LOCK TABLE titan_cursor IN ROW EXCLUSIVE MODE"
_HERE = f"SELECT pg_current_snapshot()::text AS snapshot, {WHOSE}"
_KEEP = f"""
INSERT INTO titan_cursor (name, cursor, kept_ms) VALUES ($1, $2, {NOW_MS})
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, kept_ms = excluded.kept_ms
"""
_DROP = "DELETE FROM titan_cursor WHERE name = $1 RETURNING name"
_LOOK = "SELECT name, cursor, kept_ms FROM titan_cursor ORDER BY name"

# Of before $1; what a cursor needs, numbered $2 and above, ends it, so that what is kept has no holes (`check`).
_TRIM = f"""
WITH oldest AS (
  SELECT revision, modified_ms, xid FROM titan_outbox ORDER BY revision LIMIT {ROWS_AT_ONCE}
),
needed AS (
  SELECT min(revision) AS revision FROM oldest WHERE xid >= $2::text::xid8
),
gone AS (
  DELETE FROM titan_outbox o USING oldest, needed
  WHERE o.revision = oldest.revision AND oldest.modified_ms < $1
    AND (needed.revision IS NULL OR oldest.revision < needed.revision)
  RETURNING o.xid::text::bigint AS xid
),
noted AS (
  INSERT INTO titan_meta (name, value) SELECT 'trimmed', max(xid)::text FROM gone HAVING count(*) > 0
  ON CONFLICT (name) DO UPDATE SET value = greatest(titan_meta.value::bigint, excluded.value::bigint)::text
)
SELECT count(*) AS trimmed FROM gone
"""


class PostgresCursors:
    """Each call is one operation on the island, by `use`."""

    def __init__(self, use: Callable[..., Awaitable[Any]]) -> None:
        self._use = use

    async def keep(self, name: str, cursor: str, *, fence: Fence) -> bool:
        """Keep a cursor instead of the one before."""
        return bool(await self._use(_keep, name, cursor, fence))

    async def look(self) -> Sequence[DurableCursor]:
        """Return all of them."""
        return [DurableCursor(**row) for row in await self._use(_look)]

    async def drop(self, name: str) -> bool:
        """Forget a cursor."""
        return bool(await self._use(_drop, name))


async def trim(session: Session, before_ms: int, fence: Fence) -> int:
    """Forget some of the oldest changes of before that time that no cursor needs; return how many, 0 at the end."""
    await session.begin()
    await terms.hold(session, fence)
    await session.row(_STOP_CHANGES)
    here = await session.row(_HERE)
    assert here is not None
    cursors = [Cursor.parse(row["cursor"]) for row in await session.rows(_LOOK)]
    needed = [cursor.seen.xmin for cursor in cursors if cursor is not None and cursor.identity == identity_of(here)]
    row = await session.row(_TRIM, before_ms, str(min(needed, default=NUMBER_MAX)))
    assert row is not None
    await session.commit()
    return int(row["trimmed"])


async def _keep(session: Session, name: str, cursor: str, fence: Fence) -> bool:
    parsed = Cursor.parse(cursor)
    if parsed is None:
        return False
    await session.begin()
    await terms.hold(session, fence)
    await session.row(_TAKE_A_PLACE)
    here = await session.row(_HERE)
    assert here is not None
    is_there = is_kept(parsed, identity_of(here), Snapshot.parse(here["snapshot"]), here["trimmed"])
    if is_there:
        await session.row(_KEEP, name, cursor)
    await session.commit()
    return is_there


async def _look(session: Session) -> Sequence[Row]:
    return await session.read_rows(_LOOK)


async def _drop(session: Session, name: str) -> bool:
    await session.begin()
    dropped = await session.row(_DROP, name) is not None
    await session.commit()
    return dropped
