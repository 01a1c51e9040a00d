"""One server with one address."""

from collections.abc import Sequence
from typing import Any

from titan.redis.contract import RedisAway, Unreachable, Word
from titan.redis.dialing import Wire
from titan.redis.line import Line
from titan.redis.route import Lines, require_master
from titan.redis.url import Address

_WRONG_MODE = {
    b"cluster": "a node of a cluster answers: REDIS_URL needs ?cluster=true",
    b"sentinel": "a Sentinel answers: REDIS_URL needs ?sentinelMaster=NAME",
}


class SingleRoute:
    """The route to one server."""

    def __init__(self, lines: Lines, address: Address) -> None:
        self._lines = lines
        self._address = address
        self._line: Line | None = None

    async def open(self) -> None:
        """See `Route`."""
        line = await self._lines.open(self._address)
        try:
            await self._check(line)
        except BaseException:
            line.close("not used")
            raise
        self._line = line

    async def look(self) -> None:
        """See `Route`."""
        line = self._line
        if line is None:
            raise Unreachable("not connected")
        await self._check(line)
        if line.is_old:
            await self.open()
            line.retire()

    async def _check(self, line: Line) -> None:
        about = await self._lines.look(line)
        require_master(about, line.place)
        if (wrong := _WRONG_MODE.get(about.get(b"mode", b""))) is not None:
            raise Unreachable(f"{wrong} ({line.place})")

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
        return await self._lines.dialer.dial(self._address)

    def close(self, reason: str) -> None:
        """See `Route`."""
        line, self._line = self._line, None
        if line is not None:
            line.close(reason)

    end = close
