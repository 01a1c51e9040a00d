"""Tasks of leaders in the embedded store; see `titan.store.tasks.Tasks`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from titan.store.contract import IDEMPOTENCY_KEPT_S, Fence
from titan.store.cursors import CURSOR_KEPT_S
from titan.store.sqlite import counts, task_rows, wire
from titan.store.sqlite.readers import Read
from titan.store.sqlite.replies import failure, fence_code
from titan.store.sync_records import SYNC_RECORDS_KEPT_S
from titan.store.tasks import Begun, Counts, Expiring, Figure, NotDue, Outcome, TaskRecord

_EXPIRING = {
    Expiring.IDEMPOTENCY_KEY: (task_rows.IDEMPOTENCY_KEY, IDEMPOTENCY_KEPT_S * 1000),
    Expiring.EVENT_CURSOR: (task_rows.EVENT_CURSOR, CURSOR_KEPT_S * 1000),
    Expiring.SYNC_RECORD: (task_rows.SYNC_RECORD, SYNC_RECORDS_KEPT_S * 1000),
}
"""How the writer process calls what expires, and how long it is kept."""


class SqliteTasks:
    """Reads by `read`, counts by `read_long`, notes by the writer process (`call`)."""

    def __init__(
        self,
        read: Callable[[Read[list[Any]]], Awaitable[list[Any]]],
        read_long: Callable[[Read[Counts]], Awaitable[Counts]],
        call: Callable[..., Awaitable[tuple[Any, ...]]],
    ) -> None:
        self._read = read
        self._read_long = read_long
        self._call = call

    async def look(self) -> Sequence[TaskRecord]:
        """Return what is known of every task."""
        return [_record(*row) for row in await self._read(task_rows.look)]

    async def request(self, names: Sequence[str]) -> int:
        """Ask for a run of each of these tasks."""
        reply = await self._ask(wire.TASK_REQUEST, tuple(names))
        requested_ms: int = reply[1]
        return requested_ms

    async def begin(self, name: str, *, every_s: float, fence: Fence) -> Begun | NotDue:
        """Begin a run if it is due."""
        code, *rest = await self._ask(wire.TASK_BEGIN, fence_code(fence), name, round(every_s * 1000))
        return NotDue(rest[0] / 1000) if code == wire.TASK_NOT_DUE else Begun(*rest)

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
        word = (outcome.value, outcome is Outcome.SUCCEEDED)
        rows = None if figures is None else tuple((figure.name, figure.label, figure.value) for figure in figures)
        await self._ask(wire.TASK_END, fence_code(fence), name, word, detail, round(due_in_s * 1000), rows)

    async def figures(self) -> Sequence[Figure]:
        """Return the figures that are kept."""
        return [Figure(*row) for row in await self._read(task_rows.figures)]

    async def count(self, *, templates: int) -> Counts:
        """Count what there is."""
        return await self._read_long(partial(counts.count, templates=templates))

    async def expire(self, what: Expiring, *, fence: Fence) -> int:
        """Forget what has expired."""
        expired = 0
        while True:
            reply = await self._ask(wire.EXPIRE, fence_code(fence), *_EXPIRING[what])
            gone: int = reply[1]
            expired += gone
            if gone < task_rows.EXPIRED_AT_ONCE:
                return expired

    async def _ask(self, *request: Any) -> tuple[Any, ...]:
        code, *rest = await self._call(*request)
        if code not in wire.TASK_REPLIES:
            raise failure(code, *rest)
        return (code, *rest)


def _record(
    name: str,
    due_ms: int,
    requested_ms: int | None,
    started_ms: int | None,
    is_running: int,
    ended_ms: int | None,
    outcome: str | None,
    *rest: Any,
) -> TaskRecord:
    ended = None if outcome is None else Outcome(outcome)
    return TaskRecord(name, due_ms, requested_ms, started_ms, bool(is_running), ended_ms, ended, *rest)
