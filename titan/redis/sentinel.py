"""The server that Sentinels name: whichever it is now, also after a fail-over that this server lived to see.

One connection is kept to one Sentinel, so that asking it costs no attempt; Sentinels away are no reason to be down as
long as the server that they named last is there and takes writes.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from titan.redis.contract import RedisAway, Unreachable, Word
from titan.redis.dialing import Wire
from titan.redis.line import Line
from titan.redis.route import Lines, require_master
from titan.redis.url import Address


class SentinelRoute:
    """The route to a master by its name."""

    def __init__(self, sentinels: Lines, servers: Lines, addresses: Sequence[Address], master: str) -> None:
        self._sentinels = sentinels
        self._servers = servers
        self._order = deque(addresses)
        """The first one is asked next; one that did not help goes to the end."""
        self._master = master
        self._sentinel: Line | None = None
        self._line: Line | None = None
        self._address: Address | None = None

    async def open(self) -> None:
        """See `Route`."""
        await self._use(await self._named())

    async def look(self) -> None:
        """See `Route`."""
        line = self._line
        if line is None:
            raise Unreachable("not connected")
        require_master(await self._servers.look(line), line.place)
        try:
            named = await self._named()
        except Unreachable:
            named = None  # the next one is asked next time
        if named is not None and (named != self._address or line.is_old):
            await self._use(named)

    async def ask(self, *command: Word) -> Any:
        """See `Route`."""
        if self._line is None:
            raise RedisAway("not connected")
        return await self._line.ask(*command)

    async def everywhere(self, *command: Word) -> Sequence[Any]:
        """See `Route`."""
        return [await self.ask(*command)]

    async def dial(self) -> Wire:
        """See `Route`."""
        if self._address is None:
            raise Unreachable("not connected")
        return await self._servers.dialer.dial(self._address)

    def close(self, reason: str) -> None:
        """See `Route`. The Sentinel's connection stays: it is the way back."""
        line, self._line = self._line, None
        if line is not None:
            line.close(reason)

    def end(self, reason: str) -> None:
        """See `Route`."""
        self.close(reason)
        self._forget_sentinel(reason)

    async def _use(self, address: Address) -> None:
        line = await self._servers.open(address)
        try:
            require_master(await self._servers.look(line), line.place)
        except Unreachable as error:
            line.close("not used")
            self._forget_sentinel(error.reason)  # it may be the one that does not know yet
            raise
        before, self._line, self._address = self._line, line, address
        if before is not None:
            before.retire()

    async def _named(self) -> Address:
        """Ask a Sentinel; at most one connection is tried."""
        try:
            if self._sentinel is None or self._sentinel.lost_because is not None:
                self._sentinel = await self._sentinels.open(self._order[0])
            answer = await self._sentinels.ask(self._sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
        except Unreachable as error:
            self._forget_sentinel(error.reason)
            raise Unreachable(f"Sentinel: {error.reason}") from error
        match answer:
            case [bytes(host), bytes(port)]:
                return Address(host.decode(), int(port))
        reason = f"the Sentinel {self._order[0]} knows no master called {self._master}"
        self._forget_sentinel(reason)
        raise Unreachable(reason)

    def _forget_sentinel(self, reason: str) -> None:
        line, self._sentinel = self._sentinel, None
        if line is not None:
            line.close(reason)
        self._order.rotate(-1)
