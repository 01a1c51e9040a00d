"""Redis as the island sees it: up or down, with the reason; its connections; calls with their time-out.

Everything here runs on the island, but for what is read of `down_because`. Who calls `use` while it is down is told so
at once; nobody but `connect` and `watch`, and who begins to listen while it is up, ever opens a connection.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, TypeVarTuple, assert_never

from redis import exceptions

from titan.island import at_end
from titan.redis.cluster import ClusterRoute
from titan.redis.contract import Commands, RedisAway, RedisRefused, Script, Unreachable, Word
from titan.redis.dialing import Dialer, Wire
from titan.redis.errors import AWAY_CODES, DRIVER_ERRORS, code, words
from titan.redis.limits import Limits
from titan.redis.route import Lines, Route, parse_info, was_late
from titan.redis.sentinel import SentinelRoute
from titan.redis.single import SingleRoute
from titan.redis.tls import Tls
from titan.redis.url import Mode, RedisUrl

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NOT_YET = "not connected yet"


class Remote:
    """A handle that outlives connections, and the island's thread too."""

    def __init__(self, url: RedisUrl, limits: Limits, tls: Tls | None) -> None:
        self.down_because: str | None = NOT_YET
        self._url = url
        self._limits = limits
        self._tls = tls
        self._route: Route | None = None
        self._doubt: asyncio.Event | None = None
        """Set by whoever met trouble."""
        self._ears: set[Wire] = set()
        self._take_back: Callable[[], None] = lambda: None

    # --- the prober's ---

    async def connect(self) -> None:
        """Be up. Raises `Unreachable`. What could be had is kept for the next attempt."""
        if self._route is None:
            self._route = self._make_route()
            self._doubt = asyncio.Event()
            self._take_back = at_end(lambda: self.end("the island ends"))
        await self._route.open()
        self.down_because = None

    async def watch(self) -> str:
        """Look after it for as long as it is up; return why it no longer is."""
        assert self._route is not None
        assert self._doubt is not None
        while self.down_because is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.look_every_s):
                    await self._doubt.wait()
            self._doubt.clear()
            if self.down_because is None:
                try:
                    await self._route.look()
                except Unreachable as error:
                    self._lose(error.reason)
        return self.down_because

    async def stop(self, reason: str) -> None:
        """Be down and leave nothing open: calls fail with `reason`, those that run too."""
        self.end(reason)

    def end(self, reason: str) -> None:
        """Do the same, also while the thread ends."""
        self._take_back()
        self._take_back = lambda: None
        self._lose(reason)
        route, self._route = self._route, None
        if route is not None:
            route.end(reason)

    async def connected_clients(self, _: Commands) -> float | None:
        """See `Redis`; to be run by `use`."""
        assert self._route is not None
        infos = [parse_info(info) for info in await self._route.everywhere("INFO", "clients")]
        return max((float(info[b"connected_clients"]) for info in infos if b"connected_clients" in info), default=None)

    # --- everybody's ---

    async def use(self, function: Callable[[Commands, *Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run `function(commands, *args)`. Raises `RedisAway` or `RedisRefused`; bugs as they are."""
        route = self._route
        if self.down_because is not None or route is None:
            raise RedisAway(self.down_because or NOT_YET)
        try:
            async with asyncio.timeout(self._limits.timeout_s) as scope:
                return await function(_Commands(route), *args)
        except TimeoutError:
            if not scope.expired():
                raise
            reason = "no answer in time"
            if not was_late(scope):
                self._lose(reason)
            raise RedisAway(reason) from None
        except exceptions.ResponseError as error:
            if code(error) not in AWAY_CODES:
                raise RedisRefused(words(error)) from error
            self._lose(words(error))
            raise RedisAway(words(error)) from error

    async def listen(self, channel: str, deliver: Callable[[bytes], object]) -> str:
        """Hand out what is published on a channel; return why that ended. Raises `RedisAway` or `RedisRefused`."""
        route = self._route
        if self.down_because is not None or route is None:
            raise RedisAway(self.down_because or NOT_YET)
        wire: Wire | None = None
        try:
            wire = await route.dial()
            self._ears.add(wire)
            await wire.send_command("SUBSCRIBE", channel, check_health=False)
            while True:
                match await wire.read_response(timeout=math.inf):
                    case [b"message", _, bytes(message)]:
                        deliver(message)
        except exceptions.ResponseError as error:
            if code(error) not in AWAY_CODES:
                raise RedisRefused(words(error)) from error  # this user may not listen, all else is well
            self._lose(words(error))
            return words(error)
        except (Unreachable, *DRIVER_ERRORS) as error:
            reason = error.reason if isinstance(error, Unreachable) else words(error)
            self._lose(reason)  # so that one prober, and nobody else, tries again
            return self.down_because or reason
        finally:
            if wire is not None:
                self._ears.discard(wire)
                wire.abort()

    def _make_route(self) -> Route:
        url = self._url
        servers = Lines(Dialer(url.login, url.database, self._limits, self._tls), self._limits, self._lose)
        match url.mode:
            case Mode.SINGLE:
                return SingleRoute(servers, url.addresses[0])
            case Mode.SENTINEL:
                # One that is lost says nothing of the server.
                sentinels = Lines(Dialer(url.sentinel_login, 0, self._limits, self._tls), self._limits, lambda _: None)
                return SentinelRoute(sentinels, servers, url.addresses, url.master)
            case Mode.CLUSTER:
                return ClusterRoute(servers, url.addresses, self._wake)
        assert_never(url.mode)

    def _wake(self) -> None:
        """Have it looked at now."""
        if self._doubt is not None:
            self._doubt.set()

    def _lose(self, reason: str) -> None:
        """Be down from this moment; the first reason counts."""
        if self.down_because is None:
            self.down_because = reason
        if self._route is not None:
            self._route.close(reason)
        for wire in self._ears:
            wire.abort()
        self._wake()


class _Commands:
    """The commands of one call."""

    def __init__(self, route: Route) -> None:
        self._route = route

    async def execute_command(self, *command: Word) -> Any:
        return await self._route.ask(*command)

    async def run_script(self, script: Script, key: bytes | str, *args: Word) -> Any:
        try:
            return await self._route.ask("EVALSHA", script.digest, 1, key, *args)
        except exceptions.NoScriptError:  # a new server, or SCRIPT FLUSH; nothing was done
            return await self._route.ask("EVAL", script.text, 1, key, *args)
