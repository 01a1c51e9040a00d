"""A stand-in for the store as far as tasks' runs are concerned, on trio's clock; the contract suite runs on it too."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from titan.store.contract import Deposed, Fence, StoreUnavailable
from titan.store.due import wait_ms
from titan.store.tasks import Begun, Counts, Expiring, Figure, NotDue, Outcome, TaskRecord

EPOCH_MS = 1_700_000_000_000


class MemoryTasks:
    """See `titan.store.tasks.Tasks`."""

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}
        self.records: dict[str, TaskRecord] = {}
        self.kept: Sequence[Figure] = ()
        self.is_away = False
        self.begun: list[tuple[str, float]] = []
        """Every run that was begun, with its time."""

    async def look(self) -> Sequence[TaskRecord]:
        await self._here()
        return sorted(self.records.values(), key=lambda record: record.name)

    async def request(self, names: Sequence[str]) -> int:
        await self._here()
        for name in names:
            self._enter(name)
            self.records[name] = replace(self.records[name], requested_ms=now_ms())
        return now_ms()

    async def begin(self, name: str, *, every_s: float, fence: Fence) -> Begun | NotDue:
        await self._here(fence)
        self._enter(name)
        record = self.records[name]
        left_ms = wait_ms(
            now_ms(),
            round(every_s * 1000),
            due_ms=record.due_ms,
            requested_ms=record.requested_ms,
            started_ms=record.started_ms,
            is_running=record.is_running,
        )
        if left_ms:
            return NotDue(left_ms / 1000)
        self.begun.append((name, trio.current_time()))
        self.records[name] = replace(record, started_ms=now_ms(), is_running=True)
        return Begun(now_ms(), record.failures, record.is_running)

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
        await self._here(fence)
        record, is_good = self.records[name], outcome is Outcome.SUCCEEDED
        is_asked_again = (record.requested_ms or 0) > (record.started_ms or 0)
        self.records[name] = replace(
            record,
            due_ms=now_ms() + round(due_in_s * 1000),
            requested_ms=record.requested_ms if is_asked_again else None,
            is_running=False,
            ended_ms=now_ms(),
            outcome=outcome,
            detail=detail,
            succeeded_ms=now_ms() if is_good else record.succeeded_ms,
            failures=0 if is_good else record.failures + 1,
            runs=record.runs + 1,
        )
        if figures is not None:
            self.kept = figures

    async def figures(self) -> Sequence[Figure]:
        await self._here()
        return self.kept

    async def count(self, *, templates: int) -> Counts:
        raise NotImplementedError

    async def expire(self, what: Expiring, *, fence: Fence) -> int:
        raise NotImplementedError

    async def _here(self, fence: Fence | None = None) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise StoreUnavailable("away for the test")
        if fence is not None and self.epochs.get(fence.role, 0) != fence.epoch:
            raise Deposed(fence, self.epochs.get(fence.role, 0))

    def _enter(self, name: str) -> None:
        self.records.setdefault(
            name, TaskRecord(name, now_ms(), None, None, False, None, None, "", None, failures=0, runs=0)
        )


class MemoryStore:
    """As much of a store as a task's actor sees."""

    def __init__(self) -> None:
        self.tasks = MemoryTasks()

    async def begin_term(self, role: str, holder: str) -> int:
        await trio.lowlevel.checkpoint()
        self.tasks.epochs[role] = self.tasks.epochs.get(role, 0) + 1
        return self.tasks.epochs[role]


class MemoryBackend:
    """As the contract suite wants it."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MemoryStore]:
        yield self._store


def now_ms() -> int:
    """What stands for the database's clock."""
    return EPOCH_MS + round(trio.current_time() * 1000)
