"""The ways to Redis: one server, the one that Sentinels name, or the nodes of a cluster."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from redis import exceptions

from titan.redis.contract import RedisAway, Unreachable, Word
from titan.redis.dialing import Dialer, Wire
from titan.redis.errors import AWAY_CODES, code, words
from titan.redis.limits import Limits
from titan.redis.line import Line
from titan.redis.url import Address


class Route(Protocol):
    """What commands take. Everything of it runs on the island; none of it connects but `open`, `look` and `dial`."""

    async def open(self) -> None:
        """Have every connection that is needed. Raises `Unreachable` at the first one missing; keeps the others."""

    async def look(self) -> None:
        """See that the servers answer and still are the right ones; replace what is old. Raises `Unreachable`."""

    async def ask(self, *command: Word) -> Any:
        """Run a command where its key is. Raises `RedisAway`, and the driver's errors for answers that are errors."""

    async def everywhere(self, *command: Word) -> Sequence[Any]:
        """Run a command on every server that is in use."""

    async def dial(self) -> Wire:
        """Open one more connection, to a server that sees what is published. Raises `Unreachable`."""

    def close(self, reason: str) -> None:
        """Be away: drop what carries commands; what leads back may stay."""

    def end(self, reason: str) -> None:
        """Drop every connection."""


class Lines:
    """Opens lines of one instance."""

    def __init__(self, dialer: Dialer, limits: Limits, on_lost: Callable[[str], None]) -> None:
        self.dialer = dialer
        self.limits = limits
        self._on_lost = on_lost

    async def open(self, address: Address) -> Line:
        """Connect to a server that answers. Raises `Unreachable`."""
        wire = await self.dialer.dial(address)
        line = Line(wire, str(address), max_age_s=self.limits.max_age_s, on_lost=self._on_lost)
        try:
            await self.look(line)
        except BaseException:
            line.close("not used")
            raise
        return line

    async def look(self, line: Line) -> dict[bytes, Any]:
        """See that a server answers; return what it says of itself, if it does. Raises `Unreachable`."""
        await self.ask(line, "PING")
        try:
            hello = await self.ask(line, "HELLO", 2)
        except exceptions.ResponseError:
            return {}  # a proxy that does not know it, or an old server
        if not isinstance(hello, list):
            return {}
        return {name: value for name, value in zip(hello[::2], hello[1::2], strict=False) if isinstance(name, bytes)}

    async def ask(self, line: Line, *command: Word) -> Any:
        """Run one command in time. Raises `Unreachable`, and the driver's errors for other answers that are errors."""
        try:
            async with asyncio.timeout(self.limits.timeout_s) as scope:
                return await line.ask(*command)
        except TimeoutError:
            if was_late(scope):
                return await self.ask(line, *command)
            reason = f"no answer in time ({line.place})"
        except RedisAway as error:
            reason = error.reason
        except exceptions.ResponseError as error:
            if code(error) not in AWAY_CODES:
                raise
            reason = f"{words(error)} ({line.place})"
        line.close(reason)
        raise Unreachable(reason)


def parse_info(text: object) -> dict[bytes, bytes]:
    """Read an answer of INFO or CLUSTER INFO."""
    rows = text.split(b"\r\n") if isinstance(text, bytes) else ()
    return {name: value for name, is_one, value in (row.partition(b":") for row in rows) if is_one}


LATE_S = 0.1
"""A time-out that comes by so much too late says that this thread stood still, not that Redis did."""


def was_late(expired: asyncio.Timeout) -> bool:
    """Say whether nothing is known of Redis, because nobody was there to take its answer."""
    due_s = expired.when()
    assert due_s is not None
    return asyncio.get_running_loop().time() - due_s > LATE_S


def require_master(about: dict[bytes, Any], place: str) -> None:
    """Raise `Unreachable` where what answered takes no writes."""
    if about.get(b"role") == b"replica":
        raise Unreachable(f"the server is a replica ({place})")
