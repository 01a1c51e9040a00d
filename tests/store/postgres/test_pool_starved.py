"""A pool whose connections are lost, and refused for a while, under load that never pauses: it comes back.

Against sessions made by hand, because the order of events within milliseconds is what matters here; the same happens
to the real thing in tests/failures/postgres.
"""

import asyncio
import math
from dataclasses import dataclass, replace
from typing import cast

from titan.store.contract import StoreUnavailable
from titan.store.postgres.errors import Unreachable
from titan.store.postgres.limits import Limits
from titan.store.postgres.pool import Pool
from titan.store.postgres.session import Session

LIMITS = replace(Limits(), pool_size=4, queue_s=0.1)


@dataclass(eq=False)
class Made:
    """What the pool asks of a session."""

    is_closed: bool = False
    expires_at: float = math.inf

    def drop(self) -> None:
        self.is_closed = True

    async def close(self, _within_s: float) -> None:
        self.is_closed = True

    async def rollback(self) -> None:
        if self.is_closed:
            raise ConnectionResetError


class Server:
    """Gives sessions, or refuses them, when it is told to."""

    def __init__(self) -> None:
        self.sessions: list[Made] = []
        self.asked: list[asyncio.Future[bool]] = []
        self.answers_at_once = False

    async def connect(self) -> Session:
        if not self.answers_at_once:
            self.asked.append(asyncio.get_running_loop().create_future())
            if not await self.asked[-1]:
                raise Unreachable("too many connections")
        self.sessions.append(Made())
        return cast("Session", self.sessions[-1])


async def use(pool: Pool, until: asyncio.Event) -> bool:
    """Use a connection until the event; False where none was to be had, or it was lost."""
    try:
        async with pool.session() as session:
            await until.wait()
            await session.rollback()
    except (StoreUnavailable, Unreachable, ConnectionResetError):
        return False
    return True


async def turns(count: int) -> None:
    """Let whoever can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def lose_both_while_a_third_was_refused(server: Server, pool: Pool, lost: asyncio.Event) -> None:
    users = [asyncio.create_task(use(pool, lost)) for _ in range(3)]
    await turns(5)
    first, second, third = server.asked
    first.set_result(True)
    await turns(5)
    third.set_result(False)  # refused while others work: no further connection is tried for a second
    await turns(5)
    second.set_result(True)
    await turns(5)
    assert pool.refused is None
    assert pool.statistics.in_use == 2
    server.answers_at_once = True
    crowd = [asyncio.create_task(use(pool, lost)) for _ in range(3)]
    await turns(5)
    for session in server.sessions:
        session.drop()
    lost.set()
    await asyncio.gather(*users, *crowd)


async def come_every_20_ms(pool: Pool, *, for_s: float) -> list[bool]:
    """There is always somebody in the queue of 100 ms."""
    now = asyncio.Event()
    now.set()
    callers = []
    for _ in range(int(for_s / 0.02)):
        callers.append(asyncio.create_task(use(pool, now)))
        await asyncio.sleep(0.02)
    return await asyncio.gather(*callers)


def test_callers_that_keep_coming_do_not_wait_for_a_connection_that_nobody_opens():
    async def scenario() -> list[bool]:
        server = Server()
        pool = Pool(server.connect, LIMITS)
        losing = asyncio.create_task(lose_both_while_a_third_was_refused(server, pool, asyncio.Event()))
        await turns(30)
        served = await come_every_20_ms(pool, for_s=2.0)
        await losing
        pool.close("the test is over")
        await turns(5)
        return served

    served = asyncio.run(scenario())

    assert all(served[-20:]), served
