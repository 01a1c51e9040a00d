"""The actor that keeps the connection to Redis and says how it is. It never gives up, and nothing waits for it."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from supervisors.actors.statement import Statement
from supervisors.kernel import Context
from titan.island import IslandDown
from titan.redis.client import Redis
from titan.redis.contract import RedisAway, RedisRefused
from titan.telemetry.health import Check, Status

COUNT_EVERY_S = 15.0
"""How old the figure of connected clients may be."""
STOP_S = 1.0
STOPPED = "the server stops"


class CacheActor:
    """Connects, watches, and connects again, for as long as it takes; Redis away is a state, and never `down`.

    *Started* once the first state is known. What ends it is a bug.
    """

    def __init__(self, redis: Redis, check: Check, *, fill: Callable[[], Awaitable[NoReturn]] | None = None) -> None:
        """`fill` sends what readers want stored there, until cancelled."""
        self._redis = redis
        self._fill = fill
        self._statement = Statement(check)
        self._clients: float | None = None
        self._is_up_again = trio.Event()

    @property
    def connected_clients(self) -> float | None:
        """Redis' own count of its clients, at most 15 s old; None while it is unknown."""
        return None if self._redis.down_because is not None else self._clients

    async def run(self, ctx: Context) -> None:
        """Be the actor, until cancelled."""
        self._statement.begin(ctx)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._count)
                if self._fill is not None:
                    nursery.start_soon(self._fill)
                await self._keep()
        finally:
            self._down(STOPPED)
            with trio.move_on_after(STOP_S, shield=True):
                await self._redis.stop(STOPPED)

    async def _keep(self) -> None:
        try:
            await self._redis.keep(on_up=self._up, on_down=self._down)
        except IslandDown as error:
            self._down(str(error))  # our supervisor is about to restart the island, and us after it
        await trio.sleep_forever()

    async def _count(self) -> None:
        while True:
            await self._redis.wait_until_up()
            try:
                self._clients = await self._redis.connected_clients()
            except (RedisAway, RedisRefused):
                self._clients = None  # away, which is told elsewhere; or this user may not ask: the metric is absent
            self._is_up_again = trio.Event()
            with trio.move_on_after(COUNT_EVERY_S):
                await self._is_up_again.wait()

    def _up(self) -> None:
        self._is_up_again.set()
        self._statement.say(Status.UP, str(self._redis.url.mode))  # no address: who asks for readiness needs no token

    def _down(self, reason: str) -> None:
        self._clients = None
        self._statement.say(Status.DEGRADED, f"away: {reason}", is_away=True)
