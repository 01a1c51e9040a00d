"""A connection after its last answer of HTTP, 101: bytes both ways."""

from collections.abc import Awaitable, Callable

import trio
from hypercorn.events import Closed, Event, RawData


class RawWire:
    """What `titan.api.messages.Wire` promises, over hypercorn's reader and sender.

    What comes waits in the connection's reader until somebody receives it: nothing is heaped up here.
    """

    def __init__(self, send: Callable[[Event], Awaitable[None]], abort: Callable[[], None], first: bytes) -> None:
        """`first`: what came behind the request."""
        self.sent_bytes = 0
        self._send = send
        self._abort = abort
        self._first = first
        self._came, self._come = trio.open_memory_channel[bytes](0)

    async def receive(self) -> bytes:
        """Return bytes as they come; b'' once the client is gone."""
        if self._first:
            first, self._first = self._first, b""
            await trio.lowlevel.checkpoint()
            return first
        try:
            return await self._come.receive()
        except trio.EndOfChannel:
            return b""

    async def send(self, data: bytes) -> None:
        """Send it all; to a client that is gone, nothing."""
        self.sent_bytes += len(data)
        await self._send(RawData(data))

    def abort(self) -> None:
        """Cut the connection."""
        self._abort()

    async def close(self) -> None:
        """Close our side; what still comes is dropped."""
        self._come.close()
        await self._send(Closed())

    # Called by the connection's reader.

    async def take(self, data: bytes) -> None:
        """Hand on what came; when nobody receives any more it is dropped."""
        if not data:
            self.end()
            return
        try:
            await self._came.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def end(self) -> None:
        """Say that nothing comes any more."""
        self._came.close()
