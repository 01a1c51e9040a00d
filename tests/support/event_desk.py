"""A hub and streams over an outbox in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import trio
import trio.testing

from tests.support.outbox import Outbox
from titan.events.contents import Contents
from titan.events.filters import EVERYTHING, Filter
from titan.events.hub import Hub
from titan.events.stream import End, News, Refused, Stream, Streams
from titan.store.contract import Changes, Store


@dataclass
class Desk:
    """What one instance has."""

    outbox: Outbox
    hub: Hub
    streams: Streams
    feed_cursor: str = ""

    async def begin(self) -> None:
        """Let the feed begin, or begin anew."""
        latest = await self.outbox.latest()
        self.feed_cursor = latest.cursor
        self.hub.tell(latest)

    async def poll(self, limit: int = 1000) -> None:
        """Let the feed poll once; what it learned is handed out."""
        changes = await self.outbox.changes(after=self.feed_cursor, limit=limit)
        assert isinstance(changes, Changes)
        self.feed_cursor = changes.cursor
        self.hub.tell(changes)
        await trio.testing.wait_all_tasks_blocked()

    async def open(self, cursor: str | None = None, chosen: Filter = EVERYTHING) -> Stream:
        stream = await self.streams.open(chosen.passes, cursor)
        assert isinstance(stream, Stream), stream
        return stream

    async def refused(self, cursor: str | None = None) -> Refused:
        refused = await self.streams.open(EVERYTHING.passes, cursor)
        assert isinstance(refused, Refused)
        return refused


@asynccontextmanager
async def desk(
    outbox: Outbox | None = None, *, max_clients: int = 10, max_bytes: int = 1000, heartbeat_s: float = 15.0
) -> AsyncIterator[Desk]:
    """Let a hub run that knows what is in the outbox."""
    outbox = outbox or Outbox()
    store = cast("Store", outbox)
    hub = Hub(Contents(store, max_bytes))
    it = Desk(outbox, hub, Streams(store, hub, max_clients=max_clients, heartbeat_s=heartbeat_s))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        await trio.testing.wait_all_tasks_blocked()
        await it.begin()
        yield it
        nursery.cancel_scope.cancel()


async def numbers(stream: Stream, count: int) -> list[int]:
    """Return the revisions of the next events."""
    found: list[int] = []
    while len(found) < count:
        told = await stream.next()
        assert isinstance(told, News), told
        found += [event.change.revision for event in told.events]
    return found


async def end_of(stream: Stream) -> End:
    """Return how a stream ends; what comes before is passed over."""
    while not isinstance(told := await stream.next(), End):
        pass
    return told
