"""What the store said last of tasks and figures, for everybody in this process who wants to know without asking it."""

from collections.abc import Mapping, Sequence

import trio

from titan.store.tasks import Figure, TaskRecord


class Board:
    """Written by the one actor that reads the store (`supervisors.actors.tasks.board`), on every instance."""

    def __init__(self) -> None:
        self.records: Mapping[str, TaskRecord] = {}
        self.figures: Sequence[Figure] = ()
        self._requested: dict[str, trio.Event] = {}

    def show(self, records: Sequence[TaskRecord]) -> None:
        """Take what the store says now; wakes who waits for a request that is there."""
        self.records = {record.name: record for record in records}
        for record in records:
            if record.requested_ms is not None and record.name in self._requested:
                self._requested.pop(record.name).set()

    async def wait_requested(self, name: str) -> None:
        """Return at the next look at the store that finds a request for this task."""
        await self._requested.setdefault(name, trio.Event()).wait()
