"""Redis opened as the server does it: island, actor, handle, under a real supervisor."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from supervisors.actors.cache import CacheActor
from supervisors.actors.island import IslandActor
from supervisors.kernel import ActorEvent, Backoff, Child, ChildExited, ChildRestarting, Strategy, Supervisor, open_tree
from tests.support.waiting import until
from titan.island import Island
from titan.redis.client import Redis
from titan.redis.contract import Commands, RedisAway
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

    def assert_no_exit(self) -> None:
        """See that no actor ended."""
        assert [event for event in self.events if isinstance(event, ChildExited | ChildRestarting)] == []

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


@dataclass(slots=True)
class Calls:
    """What callers that never stop asking met."""

    took_s: list[tuple[float, bool]] = field(default_factory=list)
    """How long each call took, and whether it was answered."""
    wrong: list[str] = field(default_factory=list)
    """Answers to another question."""
    forgotten: int = 0
    """Values that Redis had taken and did not have any more, as may be after a fail-over."""

    def slow(self, than_s: float) -> int:
        """Return how many calls took longer."""
        return sum(took_s > than_s for took_s, _ in self.took_s)

    @property
    def answered(self) -> int:
        """Return how many calls Redis answered."""
        return sum(answered for _, answered in self.took_s)


async def _echo(commands: Commands, key: str, value: bytes) -> bytes | None:
    await commands.execute_command("SET", key, value, "PX", 60_000)
    got: bytes | None = await commands.execute_command("GET", key)
    return got


@asynccontextmanager
async def calling(redis: Redis, *, callers: int = 8) -> AsyncIterator[Calls]:
    """Have callers set and read keys of their own for the time of the block; nothing but `RedisAway` may come out."""
    calls = Calls()

    async def call(name: int) -> None:
        number = 0
        while True:
            number += 1
            key, value = f"titan:test:{name}:{number % 50}", f"{name}/{number}".encode()
            began_s = time.monotonic()
            try:
                got = await redis.run(_echo, key, value)
            except RedisAway:
                calls.took_s.append((time.monotonic() - began_s, False))
                await trio.sleep(0.01)
            else:
                calls.took_s.append((time.monotonic() - began_s, True))
                earlier = {f"{name}/{before}".encode() for before in range(number % 50, number, 50)}
                if got is None or got in earlier:
                    calls.forgotten += 1
                elif got != value:
                    calls.wrong.append(f"{key}: {got!r} instead of {value!r}")

    async with trio.open_nursery() as nursery:
        for name in range(callers):
            nursery.start_soon(call, name)
        yield calls
        nursery.cancel_scope.cancel()
