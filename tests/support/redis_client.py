"""Redis opened as the server does it: island, actor, handle, under a real supervisor."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from supervisors.actors.cache import CacheActor
from supervisors.actors.island import IslandActor
from supervisors.kernel import ActorEvent, Backoff, Child, Strategy, Supervisor, open_tree
from tests.support.waiting import until
from titan.island import Island
from titan.redis.client import Redis
from titan.redis.limits import Limits
from titan.redis.tls import Tls
from titan.redis.url import parse
from titan.telemetry.health import Check, Status

QUICK = Limits(look_every_s=0.1, retry_s=(0.1, 0.14))
"""The server's defaults, faster where something is waited for."""


@dataclass(slots=True)
class OpenedRedis:
    """Redis with everything under it, and what was said of it."""

    redis: Redis
    island: Island
    check: Check
    actor: CacheActor
    events: list[ActorEvent] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def wait(self, status: Status, *, within_s: float = 10.0) -> None:
        """Return once the check says so."""
        await until(lambda: self.check.result.status is status, within_s=within_s, what=f"redis {status}")


@asynccontextmanager
async def opened_redis(
    url: str, *, limits: Limits = QUICK, tls: Tls | None = None, ready: bool = True
) -> AsyncIterator[OpenedRedis]:
    """Open Redis under a real supervisor; with `ready`, once it is up."""
    island = Island()
    redis = Redis(island, parse(url), limits, tls=tls)
    lines: list[str] = []
    check = Check("redis", on_change=lambda name, now: lines.append(f"{name} {now.status.value}: {now.detail}"))
    actor = CacheActor(redis, check)
    it = OpenedRedis(redis, island, check, actor, lines=lines)
    quick = Backoff(base_s=0.01, cap_s=0.05)
    tree = Supervisor(
        name="stores",
        strategy=Strategy.REST_FOR_ONE,
        children=(
            Child(name="island", run=IslandActor(island).run, backoff=quick),
            Child(name="cache", run=actor.run, backoff=quick),
        ),
    )
    failure: Exception | None = None
    async with open_tree(tree, on_event=it.events.append):
        if ready:
            await it.wait(Status.UP)
        try:
            yield it
        except Exception as error:  # noqa: BLE001  (raised again below, outside the groups)
            failure = error
    if failure is not None:
        raise failure
