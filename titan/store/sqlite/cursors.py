"""Durable cursors in the embedded store; see `titan.store.cursors.Cursors`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from titan.store.contract import Fence
from titan.store.cursors import DurableCursor
from titan.store.sqlite import cursor_rows, queries, wire
from titan.store.sqlite.readers import Read
from titan.store.sqlite.replies import failure, fence_code


class SqliteCursors:
    """Reads by `read`, changes by the writer process (`call`)."""

    def __init__(
        self,
        read: Callable[[Read[list[cursor_rows.Row]]], Awaitable[list[cursor_rows.Row]]],
        call: Callable[..., Awaitable[tuple[Any, ...]]],
    ) -> None:
        self._read = read
        self._call = call

    async def keep(self, name: str, cursor: str, *, fence: Fence) -> bool:
        """Keep a cursor instead of the one before."""
        parsed = queries.parse(cursor)
        return parsed is not None and await self._change(wire.KEEP_CURSOR, fence_code(fence), name, *parsed)

    async def look(self) -> Sequence[DurableCursor]:
        """Return all of them."""
        return [DurableCursor(*row) for row in await self._read(cursor_rows.look)]

    async def drop(self, name: str) -> bool:
        """Forget a cursor."""
        return await self._change(wire.DROP_CURSOR, name)

    async def _change(self, *request: Any) -> bool:
        code, *rest = await self._call(*request)
        if code != wire.CURSOR_DONE:
            raise failure(code, *rest)
        return bool(rest[0])
