"""Redis for a command: everything under it, for as long as the command takes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from titan.island import Island
from titan.redis.client import Redis
from titan.redis.contract import RedisAway
from titan.redis.limits import Limits
from titan.redis.tls import Tls
from titan.redis.url import RedisUrl

LIMITS = Limits(timeout_s=2.0, connect_s=5.0)
"""Of somebody who waits for an answer, not for speed."""


@asynccontextmanager
async def open_redis(url: RedisUrl, *, tls: Tls | None = None, limits: Limits = LIMITS) -> AsyncIterator[Redis]:
    """Open Redis for a tool. Raises `RedisAway` where it is away at first; what the body raises comes out as it is."""
    island = Island()
    redis = Redis(island, url, limits, tls=tls)
    known = trio.Event()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:

        async def keep() -> None:
            await redis.keep(on_up=known.set, on_down=lambda _: known.set())

        await nursery.start(_serve, island)
        nursery.start_soon(keep)
        try:
            await known.wait()
            _must_be_up(redis)
            yield redis
        except Exception as error:  # noqa: BLE001  (raised again below, outside the nursery's group)
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _must_be_up(redis: Redis) -> None:
    if redis.down_because is not None:
        raise RedisAway(redis.down_because)


async def _serve(island: Island, *, task_status: trio.TaskStatus[None]) -> None:
    await island.serve(task_status.started)
