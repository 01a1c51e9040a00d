"""Tasks of leaders on PostgreSQL; see `titan.store.tasks.Tasks`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from titan.store.contract import IDEMPOTENCY_KEPT_S, Fence
from titan.store.cursors import CURSOR_KEPT_S
from titan.store.due import wait_ms
from titan.store.postgres import counts, terms
from titan.store.postgres.codes import NOW_MS
from titan.store.postgres.session import Row, Session
from titan.store.sync_records import SYNC_RECORDS_KEPT_S
from titan.store.tasks import Begun, Counts, Expiring, Figure, NotDue, Outcome, TaskRecord

EXPIRED_AT_ONCE = 1000
"""Rows deleted in one transaction: a fraction of a statement's time."""

_LOOK = """
SELECT name, due_ms, requested_ms, started_ms, is_running, ended_ms, outcome, detail, succeeded_ms, failures, runs
FROM titan_task ORDER BY name
"""
_REQUEST = f"""
INSERT INTO titan_task (name, due_ms, requested_ms)
SELECT name, now_ms, now_ms FROM (SELECT {NOW_MS} AS now_ms) AS now, unnest($1::text[]) AS name
ON CONFLICT (name) DO UPDATE SET requested_ms = excluded.requested_ms
RETURNING requested_ms
"""
_ENTER = f"INSERT INTO titan_task (name, due_ms) VALUES ($1, {NOW_MS}) ON CONFLICT DO NOTHING"
_SEE = f"""
SELECT {NOW_MS} AS now_ms, due_ms, requested_ms, started_ms, is_running, failures
FROM titan_task WHERE name = $1 FOR UPDATE
"""
_BEGIN = "UPDATE titan_task SET started_ms = $2, is_running = true WHERE name = $1"
_END = f"""
UPDATE titan_task SET is_running = false, ended_ms = {NOW_MS}, outcome = $2, detail = $3, due_ms = {NOW_MS} + $4,
  succeeded_ms = CASE WHEN $5::boolean THEN {NOW_MS} ELSE succeeded_ms END,
  failures = CASE WHEN $5::boolean THEN 0 ELSE failures + 1 END, runs = runs + 1,
  requested_ms = CASE WHEN requested_ms > started_ms THEN requested_ms END
WHERE name = $1
"""
_FORGET_FIGURES = "DELETE FROM titan_figure"
_KEEP_FIGURES = """
INSERT INTO titan_figure (name, label, value)
SELECT name, label, value::bigint FROM unnest($1::text[], $2::text[], $3::text[]) AS f (name, label, value)
"""
_FIGURES = "SELECT name, label, value FROM titan_figure ORDER BY name, label"

_EXPIRE = """
WITH gone AS (
  DELETE FROM {table} WHERE {key} IN (
    SELECT {key} FROM {table} WHERE {age} <= {now} - {kept} ORDER BY {age} LIMIT {limit} FOR UPDATE SKIP LOCKED
  ) RETURNING 1
)
SELECT count(*) AS gone FROM gone
"""
_EXPIRING = {
    what: _EXPIRE.format(table=table, key=key, age=age, kept=kept_s * 1000, now=NOW_MS, limit=EXPIRED_AT_ONCE)
    for what, table, key, age, kept_s in (
        (Expiring.IDEMPOTENCY_KEY, "titan_idempotency", "scope", "created_ms", IDEMPOTENCY_KEPT_S),
        (Expiring.EVENT_CURSOR, "titan_cursor", "name", "kept_ms", CURSOR_KEPT_S),
    )
}
"""What expires row by row: its table, key, when it came, how long it is kept."""

# The source itself goes once no record of it is left.
_EXPIRING[Expiring.SYNC_RECORD] = f"""
WITH old AS (
  SELECT source FROM titan_sync_source WHERE begun_ms <= {NOW_MS} - {SYNC_RECORDS_KEPT_S * 1000}
  ORDER BY source FOR UPDATE SKIP LOCKED
),
records AS (
  DELETE FROM titan_sync_document WHERE (source, kind, id_digest) IN (
    SELECT source, kind, id_digest FROM titan_sync_document JOIN old USING (source) LIMIT {EXPIRED_AT_ONCE}
  ) RETURNING 1
),
sources AS (
  DELETE FROM titan_sync_source s USING old
  WHERE s.source = old.source AND NOT EXISTS (SELECT FROM titan_sync_document d WHERE d.source = s.source) RETURNING 1
)
SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM sources) AS gone
"""


class PostgresTasks:
    """Each call is one operation on the island, by `use`; only `expire` is many."""

    def __init__(self, use: Callable[..., Awaitable[Any]]) -> None:
        self._use = use

    async def look(self) -> Sequence[TaskRecord]:
        """Return what is known of every task."""
        return [TaskRecord(**{**row, "outcome": _outcome(row["outcome"])}) for row in await self._use(_read, _LOOK)]

    async def request(self, names: Sequence[str]) -> int:
        """Ask for a run of each of these tasks."""
        requested_ms: int = await self._use(_request, names)
        return requested_ms

    async def begin(self, name: str, *, every_s: float, fence: Fence) -> Begun | NotDue:
        """Begin a run if it is due."""
        begun: Begun | NotDue = await self._use(_begin, name, round(every_s * 1000), fence)
        return begun

    async def end(
        self,
        name: str,
        outcome: Outcome,
        detail: str,
        *,
        due_in_s: float,
        figures: Sequence[Figure] | None = None,
        fence: Fence,
    ) -> None:
        """Note how the run ended."""
        await self._use(_end, name, outcome, detail, round(due_in_s * 1000), figures, fence)

    async def figures(self) -> Sequence[Figure]:
        """Return the figures that are kept."""
        return [Figure(**row) for row in await self._use(_read, _FIGURES)]

    async def count(self, *, templates: int) -> Counts:
        """Count what there is."""
        counted: Counts = await self._use(counts.count, templates)
        return counted

    async def expire(self, what: Expiring, *, fence: Fence) -> int:
        """Forget what has expired."""
        expired = 0
        while some := await self._use(_expire, what, fence):
            expired += some
        return expired


async def _read(session: Session, sql: str) -> Sequence[Row]:
    return await session.read_rows(sql)


async def _request(session: Session, names: Sequence[str]) -> int:
    await session.begin()
    row = await session.row(_REQUEST, sorted(set(names)))  # in one order, so that no two wait for each other
    assert row is not None
    await session.commit()
    return int(row["requested_ms"])


async def _begin(session: Session, name: str, every_ms: int, fence: Fence) -> Begun | NotDue:
    await session.begin()
    await terms.hold(session, fence)
    await session.row(_ENTER, name)
    row = await session.row(_SEE, name)
    assert row is not None
    left_ms = wait_ms(
        row["now_ms"],
        every_ms,
        due_ms=row["due_ms"],
        requested_ms=row["requested_ms"],
        started_ms=row["started_ms"],
        is_running=row["is_running"],
    )
    if not left_ms:
        await session.row(_BEGIN, name, row["now_ms"])
    await session.commit()
    return NotDue(left_ms / 1000) if left_ms else Begun(row["now_ms"], row["failures"], row["is_running"])


async def _end(
    session: Session,
    name: str,
    outcome: Outcome,
    detail: str,
    due_in_ms: int,
    figures: Sequence[Figure] | None,
    fence: Fence,
) -> None:
    await session.begin()
    await terms.hold(session, fence)
    await session.row(_END, name, outcome.value, detail, due_in_ms, outcome is Outcome.SUCCEEDED)
    if figures is not None:
        await session.row(_FORGET_FIGURES)
        columns = zip(*((figure.name, figure.label, str(figure.value)) for figure in figures), strict=True)
        await session.row(_KEEP_FIGURES, *map(list, columns))
    await session.commit()


async def _expire(session: Session, what: Expiring, fence: Fence) -> int:
    await session.begin()
    await terms.hold(session, fence)
    row = await session.row(_EXPIRING[what])
    assert row is not None
    await session.commit()
    return int(row["gone"])


def _outcome(text: str | None) -> Outcome | None:
    return None if text is None else Outcome(text)
