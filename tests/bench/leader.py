"""What it costs to stand for a role, and what a leader's effect costs for being fenced."""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import trio

from tests.bench import postgres
from tests.bench.figures import Figure, Run, number, spread
from tests.support.postgres_store import opened
from tests.support.redis import running_redis
from tests.support.redis_client import opened_redis
from tests.support.store_documents import document
from titan.coordination.election import Election
from titan.coordination.on_postgres import PostgresElection
from titan.coordination.on_redis import RedisElection
from titan.coordination.roles import ROLES
from titan.coordination.timings import Timings
from titan.store.contract import Fence, WriteMode
from titan.store.postgres.store import PostgresStore

ROLE, HOLDER = ROLES[0], "bench/1"
TIMINGS = Timings()
LEASE_S = 3600.0
"""Longer than any measurement."""


def measure(run: Run) -> Iterator[Figure]:
    """Ask both elections and write with and without a fence, in this process, as an instance does."""
    url = postgres.database(run)
    yield trio.run(_in_redis, run, run.closing.enter_context(running_redis()).url())
    yield trio.run(_in_postgres, run, url)
    yield trio.run(_fenced, run, url)


async def _in_redis(run: Run, url: str) -> Figure:
    async with opened_redis(url) as it:
        return await _renewals(run, "Redis", RedisElection(it.redis))


async def _in_postgres(run: Run, url: str) -> Figure:
    async with opened(url) as it:
        return await _renewals(run, "PostgreSQL", PostgresElection(it.store.leases))


async def _renewals(run: Run, where: str, election: Election) -> Figure:
    """One question after the other: a leader renews, and looks in between; a follower looks."""
    run.say(f"renewals in {where}")
    assert await election.acquire(ROLE, HOLDER, LEASE_S)
    renewals, looks = [], []
    began_cpu_s, began_s = time.process_time(), time.monotonic()
    while time.monotonic() < began_s + run.seconds * run.rounds / 2:
        renewals.append(await _ms(partial(election.renew, ROLE, HOLDER, LEASE_S)))
        looks.append(await _ms(partial(election.look, ROLE)))
    cpu_s = (time.process_time() - began_cpu_s) / (len(renewals) + len(looks))
    a_second = len(ROLES) * (1 / TIMINGS.look_s + 1 / TIMINGS.renew_s)
    detail = (
        f"p99 {number(statistics.quantiles(renewals, n=100)[98])} ms; a look {number(statistics.median(looks))} ms; an"
        f" instance asks {number(a_second)} times a second: {number(a_second * cpu_s * 100)} % of a core"
    )
    return Figure("leader", f"Renewal of a lease in {where}, p50", statistics.median(renewals), "ms", None, detail)


async def _fenced(run: Run, url: str) -> Figure:
    """Replace a document again and again, in turns with and without a fence, so that both meet the same machine."""
    async with opened(url) as it:
        fence = Fence(ROLE, await it.store.begin_term(ROLE, HOLDER))
        plain, fenced, ratios = [], [], []
        for turn in range(run.rounds):
            run.say(f"effects: turn {turn + 1} of {run.rounds}")
            times = await _in_turns(run, it.store, fence)
            plain.append(statistics.median(times[None]))
            fenced.append(statistics.median(times[fence]))
            ratios.append(fenced[-1] / plain[-1])
    detail = f"{number(statistics.median(fenced))} ms against {number(statistics.median(plain))} ms; {spread(ratios)}"
    name = "A leader's effect (PUT of a small document), alone"
    return Figure("leader", name, statistics.median(ratios), "× without its fence", None, detail)


async def _in_turns(run: Run, store: PostgresStore, fence: Fence) -> dict[Fence | None, list[float]]:
    times: dict[Fence | None, list[float]] = {None: [], fence: []}
    began_s = time.monotonic()
    while time.monotonic() < began_s + run.seconds:
        for each, taken in times.items():
            made = document("urn:bench", text=str(len(taken)))
            taken.append(await _ms(partial(store.write, made, WriteMode.PUT, fence=each)))
    return times


async def _ms(question: Callable[[], Awaitable[object]]) -> float:
    began_s = time.monotonic()
    assert await question()
    return (time.monotonic() - began_s) * 1000
