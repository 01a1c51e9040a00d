"""Two stores with caches and feeds over one real PostgreSQL: what must never be shown, in the order that hurts."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import trio

from supervisors.actors.change_feed import ChangeFeedActor
from supervisors.kernel import Context
from tests.support.postgres import running_server
from tests.support.postgres_store import Opened, fresh_database, opened
from tests.support.store_documents import document
from tests.support.waiting import until, wait_until
from titan.cache.key import key_of
from titan.cache.memory import Memory
from titan.cache.store import CoherentStore
from titan.cache.tail import BOUND_S, Tail
from titan.store.contract import RECENT, Deleted, Kind, Need, Replaced, StoreUnavailable, WriteMode
from titan.store.postgres import reads
from titan.telemetry.health import Check, Status

in_thread = trio.to_thread.run_sync

ONE = "urn:test:one"

# What a program does that is no instance of ours, as a migration may; its outbox row goes with it.
BY_HAND = """
WITH changed AS (
  UPDATE titan_document SET revision = nextval('titan_revision'), header = convert_to('{"by": "hand"}', 'UTF8')
  WHERE id = 'urn:test:one' RETURNING revision, kind, id
)
INSERT INTO titan_outbox (revision, modified_ms, kind, type, id) SELECT revision, 0, kind, 2, id FROM changed
"""


class _Store(CoherentStore):
    """Stops with what it has read while `held` is there."""

    held: trio.Event | None = None
    reads = 0

    async def _use(self, function: Any, *args: Any) -> Any:  # type: ignore[override]
        answer = await super()._use(function, *args)
        if function is reads.find:
            self.reads += 1
            if self.held is not None:
                await self.held.wait()
        return answer


@dataclass(slots=True)
class Side:
    """One of the stores and what is under it."""

    url: str
    it: Opened
    store: _Store
    tail: Tail

    async def body(self, *, mark: int = 0) -> bytes | None:
        """Read the document as it may be a second old, but not older than a mark."""
        stored = (await self.store.find(Kind.SHELL, ONE, need=Need(is_newest=False, mark=mark))).stored
        return None if stored is None else stored.body

    async def put(self, text: str) -> int:
        """Write it; return the mark."""
        return (await self.store.write(document(ONE, text=text), WriteMode.PUT)).mark

    async def told(self, mark: int) -> None:
        """Wait until its feed has told everything up to that mark."""
        await until(lambda: self.tail.shows >= mark)

    async def caches(self) -> None:
        """Wait until it answers from its memory."""
        while (before := self.store.requests["memory", "hit"]) == self.store.requests["memory", "hit"]:
            await self.body()
            if self.store.requests["memory", "hit"] > before:
                return


def body(text: str) -> bytes:
    return document(ONE, text=text).header


@asynccontextmanager
async def side(url: str) -> AsyncIterator[Side]:
    async with opened(url) as it:
        memory = Memory(1 << 20)
        tail = Tail(on_named=memory.named, on_begin=memory.clear)
        store = _Store(it.island, it.database, tail, memory)
        feed = ChangeFeedActor(store, tail, Check("change_feed"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.run, Context("change_feed", None, lambda _: None))
            await until(lambda: tail.is_fresh)
            yield Side(url, it, store, tail)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Side, Side]]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(side(url)), await stack.enter_async_context(side(url))


@pytest.fixture
async def sides(postgres):
    with fresh_database(postgres) as name:
        async with two(postgres.url(name)) as both:
            yield both


async def test_what_is_committed_late_is_not_passed_over(sides):
    here, there = sides
    await here.put("before")
    await there.caches()
    run = here.it.island.run
    connection = await run(asyncpg.connect, here.url)
    await run(connection.execute, "BEGIN")
    await run(connection.execute, BY_HAND)
    other = (await here.store.write(document("other"), WriteMode.CREATE)).mark
    other_key = key_of(Kind.SHELL, "other")
    await until(lambda: other_key in there.tail._named, what="the later number is told")
    assert there.tail.shows < other  # because of the earlier number, which is under way
    assert await there.body() == body("before")
    await run(connection.execute, "COMMIT")
    await trio.sleep(BOUND_S)
    hits = there.store.requests["memory", "hit"]
    assert await there.body() == b'{"by": "hand"}'
    assert there.store.requests["memory", "hit"] == hits
    await there.caches()
    await run(connection.close)


async def test_a_slow_reader_does_not_bring_back_what_was_replaced(sides):
    here, there = sides
    await there.told(await here.put("old"))
    there.store.held = trio.Event()
    found: list[bytes | None] = []

    async def read() -> None:
        found.append(await there.body())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await until(lambda: there.store.reads == 1)
        await there.told(await here.put("new"))
        there.store.held.set()
    assert found == [body("old")]  # it began before
    assert await there.body() == body("new")
    await there.caches()
    assert await there.body() == body("new")


async def test_a_slow_reader_may_fill_where_nothing_was_replaced(sides):
    here, there = sides
    await there.told(await here.put("same"))
    assert await there.body() == body("same")
    await there.told((await here.store.write(document("other"), WriteMode.CREATE)).mark)
    assert await there.body() == body("same")
    assert there.store.reads == 1


async def test_deleted_and_made_again(sides):
    here, there = sides
    await here.put("first")
    await there.caches()
    gone = await here.store.delete(Kind.SHELL, ONE)
    assert isinstance(gone, Deleted)
    assert await there.body(mark=gone.mark) is None
    await there.told(gone.mark)
    assert await there.body() is None
    again = await here.put("again")
    assert await there.body(mark=again) == body("again")
    await there.told(again)
    await there.caches()
    assert await there.body() == body("again")


async def test_a_session_sees_its_write_everywhere_at_once(sides):
    for number in range(20):
        writer, reader = sides[number % 2], sides[1 - number % 2]
        mark = await writer.put(str(number))
        assert await reader.body(mark=mark) == body(str(number))
        assert await writer.body(mark=mark) == body(str(number))


async def test_while_the_feed_is_lost_caches_are_passed_by():
    with ExitStack() as stack:
        server = await in_thread(stack.enter_context, running_server())
        with fresh_database(server) as name:
            async with side(server.url(name)) as one:
                await one.put("cached")
                await one.caches()
                await in_thread(server.freeze)
                frozen_s = time.monotonic()
                assert await one.body() == body("cached")  # nobody can have written meanwhile that was acknowledged
                await until(lambda: not one.tail.is_fresh)
                assert time.monotonic() - frozen_s < BOUND_S + 0.2
                with pytest.raises(StoreUnavailable), trio.fail_after(5):
                    await one.body()
                await in_thread(server.thaw)
                await one.it.wait(Status.UP)
                await until(lambda: one.tail.is_fresh)
                await one.caches()


async def test_after_a_promotion_nothing_of_what_it_lost_is_shown():
    with ExitStack() as stack:
        primary = await in_thread(stack.enter_context, running_server())
        with fresh_database(primary) as name:
            standby = await in_thread(lambda: primary.standby(synchronous=False))
            stack.callback(standby.remove)
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
            url = f"postgresql://titan@{hosts}/{name}?target_session_attrs=read-write"
            async with side(url) as one:
                mark = await one.put("kept")
                replayed = f"SELECT pg_last_wal_replay_lsn() >= '{await in_thread(_lsn, primary)}'"
                await in_thread(lambda: _wait(standby, replayed))
                await in_thread(standby.psql, "ALTER SYSTEM SET primary_conninfo = ''")
                await in_thread(standby.psql, "SELECT pg_reload_conf()")
                await in_thread(lambda: _wait(standby, "SELECT count(*) = 0 FROM pg_stat_wal_receiver"))
                lost = await one.store.write(document(ONE, text="lost"), WriteMode.PUT)
                assert isinstance(lost, Replaced)
                assert await one.body() == body("lost")
                history = one.tail.history
                await in_thread(primary.kill)
                await in_thread(standby.promote)
                await one.it.wait(Status.UP)
                await until(lambda: one.tail.is_fresh and one.tail.history not in ("", history))
                assert await one.body() == body("kept")
                await one.caches()
                assert await one.body() == body("kept")
                assert (await one.store.find(Kind.SHELL, ONE, need=RECENT)).mark == mark
            await in_thread(primary.start)


def _lsn(server: Any) -> str:
    return str(server.psql("SELECT pg_current_wal_insert_lsn()"))


def _wait(server: Any, sql: str) -> None:
    wait_until(lambda: server.psql(sql) == "t", what=sql)
