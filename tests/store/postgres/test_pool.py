"""The pool under load: bounded in connections, in length and time of its queue; nobody gets a connection in doubt."""

import asyncio
import os
import signal
import threading
from dataclasses import replace
from functools import partial

import pytest
import trio

from tests.support.postgres_store import PATIENT, QUICK, opened
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.contract import Kind, StoreUnavailable, WriteMode
from titan.store.postgres.errors import Saturated

in_thread = trio.to_thread.run_sync


async def sleep(session, seconds: float) -> int:
    """Keep a connection busy; return the server's process."""
    row = await session.row("SELECT pg_backend_pid() AS pid, pg_sleep($1)", seconds)
    return int(row["pid"])


async def pid(session) -> int:
    return int((await session.row("SELECT pg_backend_pid() AS pid"))["pid"])


async def pids_of(postgres, database) -> set[str]:
    """Return the server's processes that serve this database."""
    sql = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'"
    return set((await in_thread(postgres.psql, sql)).split())


async def test_there_are_never_more_connections_than_its_size_and_the_probes(postgres, database, url):
    async with opened(url, limits=replace(QUICK, pool_size=3, queue_s=10)) as it, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(it.island.run, it.database.use, sleep, 0.02)
        await until(lambda: it.database.statistics.waiting == 27)
        assert it.database.statistics.in_use == 3
        assert it.database.statistics.available == 0
        assert len(await pids_of(postgres, database)) == 4


async def test_when_all_are_busy_a_caller_is_told_so_within_its_time_in_the_queue(it):
    it_queue_s = it.database.limits.queue_s
    async with trio.open_nursery() as nursery:
        for _ in range(it.database.limits.pool_size):
            nursery.start_soon(it.island.run, it.database.use, sleep, 0.5)
        await until(lambda: it.database.statistics.available == 0)
        begun = trio.current_time()
        with pytest.raises(Saturated, match="all 8 database connections are busy"):
            await it.store.get(Kind.SHELL, "x")
        assert it_queue_s * 0.9 < trio.current_time() - begun < it_queue_s + 0.15
    assert await it.store.get(Kind.SHELL, "x") is None


async def test_a_queue_that_is_full_is_told_at_once(url):
    async with (
        opened(url, limits=replace(QUICK, pool_size=1, queue=2, queue_s=10)) as it,
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            nursery.start_soon(it.island.run, it.database.use, sleep, 0.3)
        await until(lambda: it.database.statistics.waiting == 2)
        begun = trio.current_time()
        with pytest.raises(Saturated, match="2 wait"):
            await it.store.get(Kind.SHELL, "x")
        assert trio.current_time() - begun < 0.15


async def test_the_first_to_come_is_the_first_to_be_served(url):
    order: list[int] = []  # of the island: trio may run two callers that are answered at once in any order

    async def note(_session: object, number: int) -> None:
        order.append(number)

    async with opened(url, limits=replace(QUICK, pool_size=1, queue_s=10)) as it, trio.open_nursery() as nursery:

        async def caller(number: int) -> None:
            await it.island.run(it.database.use, note, number)

        def is_waiting(callers: int) -> bool:
            return it.database.statistics.waiting == callers

        nursery.start_soon(it.island.run, it.database.use, sleep, 0.5)
        await until(lambda: it.database.statistics.available == 0)
        for number in range(10):
            nursery.start_soon(caller, number)
            await until(partial(is_waiting, number + 1))
    assert order == list(range(10))


async def test_a_locked_table_costs_no_more_than_its_callers(postgres, database, url):
    """Reads and writes that meet the lock end by the server's own time-out; the pool is whole when it is gone."""
    async with opened(url) as it:
        await it.store.write(document(), WriteMode.CREATE)
        ends = []

        async def caller() -> None:
            begun = trio.current_time()
            with pytest.raises(StoreUnavailable), trio.fail_after(1.8):
                await it.store.get(Kind.SHELL, "urn:test:one")
            ends.append(trio.current_time() - begun)

        with postgres.session("BEGIN; LOCK TABLE titan_document", database):
            async with trio.open_nursery() as nursery:
                for _ in range(40):
                    nursery.start_soon(caller)
        limits = it.database.limits
        waited_for_the_lock = [seconds for seconds in ends if seconds > limits.statement_s * 0.9]
        assert len(waited_for_the_lock) == limits.pool_size
        assert max(ends) < limits.statement_s + 0.5
        assert await it.store.get(Kind.SHELL, "urn:test:one") is not None
        await until(lambda: it.database.statistics.in_use == 0)


async def test_a_cancelled_statement_leaves_its_connection_well(it):
    async def one(session) -> int:
        return await pid(session)

    before = {await it.island.run(it.database.use, one) for _ in range(4)}
    for _ in range(5):
        with trio.move_on_after(0.03):
            await it.island.run(it.database.use, sleep, 0.5)
    await until(lambda: it.database.statistics.in_use == 0)
    assert await it.island.run(it.database.use, one) in before


async def test_a_failed_statement_leaves_its_connection_well(it):
    used = set()

    async def fail(session) -> None:
        used.add(await pid(session))
        await session.begin()
        await session.row("SELECT 1 / 0")

    for _ in range(20):
        with pytest.raises(Exception, match="division by zero"):
            await it.island.run(it.database.use, fail)
    await until(lambda: it.database.statistics.in_use == 0)
    assert len(used) <= it.database.statistics.limit  # of a pool that threw them away there would be twenty
    assert await it.store.get(Kind.SHELL, "x") is None


async def test_a_connection_that_does_not_come_back_from_its_statement_is_dropped(postgres, database, url):
    """Its server process is stopped: it neither answers nor hears the cancel request."""
    async with opened(url, limits=replace(QUICK, recover_s=0.1)) as it:
        stopped = []

        async def be_stopped(session) -> None:
            stopped.append(await pid(session))
            os.kill(stopped[0], signal.SIGSTOP)
            await session.row("SELECT 1")

        with trio.move_on_after(0.1):
            await it.island.run(it.database.use, be_stopped)
        try:
            await until(lambda: it.database.statistics.in_use == 0)
            for _ in range(20):
                assert await it.island.run(it.database.use, pid) != stopped[0]
        finally:
            os.kill(stopped[0], signal.SIGCONT)


async def test_a_connection_past_its_age_is_replaced_in_use_or_not(postgres, database, url):
    async with opened(url, limits=replace(QUICK, max_age_s=0.4)) as it:
        seen: set[int] = set()
        with trio.fail_after(10):
            while len(seen) < 4:
                seen.add(await it.island.run(it.database.use, pid))
                await trio.sleep(0.01)
        idle = await pids_of(postgres, database)
        with trio.fail_after(10):
            while idle & await pids_of(postgres, database):  # noqa: ASYNC110  (of another process)
                await trio.sleep(0.02)


async def test_an_instance_that_froze_in_a_transaction_holds_its_locks_for_a_limited_time(url):
    async with opened(url, limits=replace(PATIENT, idle_in_transaction_s=0.3)) as it:
        await it.store.write(document(), WriteMode.CREATE)

        async def freeze(session) -> None:
            await session.begin("SELECT FROM titan_document FOR UPDATE")
            frozen.set()
            await asyncio.sleep(1)
            await session.commit()

        async def be_frozen() -> None:
            with pytest.raises(StoreUnavailable):
                await it.island.run(it.database.use, freeze)

        frozen = threading.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(be_frozen)
            await until(frozen.is_set)
            begun = trio.current_time()
            await it.store.write(document(text="new"), WriteMode.PUT)
            assert trio.current_time() - begun < 0.8


async def test_how_long_callers_wait_is_observed(url):
    waits: list[float] = []
    limits = replace(QUICK, pool_size=1, queue_s=10)
    async with opened(url, limits=limits, observe_wait=waits.append) as it, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(it.island.run, it.database.use, sleep, 0.05)
    assert sorted(wait > 0.03 for wait in waits[-3:]) == [False, True, True]
