"""Only a standby of our primary's own history is read, each server behind an address judged by itself."""

import itertools
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import trio

from tests.support.pgbouncer import running_pgbouncer
from tests.support.postgres import Postgres, make_cluster
from tests.support.postgres_store import fresh_database, opened
from tests.support.replicas import ONE, find, in_thread, page, paused, position, put, revision, seen
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.contract import Found, Kind, WriteMode
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse
from titan.telemetry.health import Status


async def refused(primary: Postgres, name: str, url: str, reason: str) -> None:
    """See that a replica is told from ours, and not read."""
    async with opened(primary.url(name), read_url=url) as it:
        wrote = await it.store.write(document(ONE), WriteMode.PUT)
        await until(lambda: reason in it.replica_check.result.detail, what=reason)
        assert it.replica_check.result.is_away
        for mark in (0, wrote.mark):
            assert await find(it, ONE, mark) is None
            assert await page(it, mark) is None


async def test_the_primary_itself_is_no_replica(primary, name):
    await refused(primary, name, primary.url(name), "no standby")


async def test_another_database_of_the_same_server_is_refused(primary, standby, name):
    with fresh_database(primary) as other:
        async with opened(primary.url(other), read_url=standby.url(other)) as it:  # its history has a name too
            await until(lambda: it.replica_check.result.status is Status.UP)
        await refused(primary, name, standby.url(other), "another one than the primary's")


async def test_a_standby_of_another_cluster_is_refused_even_of_a_copy_of_the_database(primary, name):
    with ExitStack() as stack:
        other = await in_thread(lambda: make_cluster().start())
        stack.callback(other.remove)
        other.create_database(name)
        await in_thread(on_postgres.upgrade, parse(other.url(name)))
        foreign = await in_thread(lambda: other.standby(synchronous=False))
        stack.callback(foreign.remove)
        await refused(primary, name, foreign.url(name), "another cluster")


async def test_after_a_fail_over_a_replica_of_the_lost_primary_is_not_read_however_much_it_has(trio_of_servers):
    """It has replayed more than the new primary ever wrote; only a word of that primary's own tells them apart."""
    lost, heir, replica = trio_of_servers
    both = f"postgresql://titan@127.0.0.1:{lost.port},127.0.0.1:{heir.port}/titan"
    async with opened(both, read_url=replica.url("titan")) as it:
        await it.store.write(document(ONE, text="kept"), WriteMode.CREATE)
        await until(lambda: it.replica.is_near)
        await in_thread(heir.stop)
        for number in range(20):
            gone = await it.store.write(document(f"urn:test:gone:{number}", text="x" * 5000), WriteMode.CREATE)
        await seen(it, gone.mark)
        await in_thread(lost.kill)
        await it.wait(Status.DOWN, within_s=3)
        await in_thread(heir.start)
        await in_thread(heir.promote)
        await it.wait(Status.UP, within_s=5)
        assert await position(replica, "pg_last_wal_replay_lsn()") > await position(heir, "pg_current_wal_lsn()")
        wrote = await it.store.write(document(ONE, text="new"), WriteMode.REPLACE)
        await until(lambda: "does not follow the primary" in it.replica_check.result.detail)
        for _ in range(100):
            assert await find(it) is None
            assert await page(it) is None
            await trio.sleep(0.005)

        await in_thread(replica.remove)  # made anew, as it has to be
        heirs = await in_thread(lambda: heir.standby(synchronous=False, port=replica.port))
        try:
            await until(lambda: it.replica_check.result.status is Status.UP)
            assert (await seen(it, wrote.mark)).stored == await it.store.get(Kind.SHELL, ONE)
        finally:
            await in_thread(heirs.remove)


async def test_behind_one_address_each_server_is_judged_by_itself(trio_of_servers):
    """As behind a balancer that gives each connection another standby: one is paused, the other follows."""
    primary, one, other = trio_of_servers
    async with balanced(one.port, other.port) as port:
        url = f"postgresql://titan@127.0.0.1:{port}/titan"
        async with opened(primary.url("titan"), read_url=url) as it:
            await until(lambda: it.replica.is_near)
            probed = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%oldest_program%' AND usename = 'titan'"
            await paused(other if await in_thread(one.psql, probed) == "1" else one)
            wrote = await it.store.write(document(ONE), WriteMode.CREATE)
            acknowledged = trio.current_time()
            answers: list[Found | None] = []

            async def reader() -> None:
                while trio.current_time() < acknowledged + 2.5:
                    asked = trio.current_time()
                    found = await find(it)
                    assert found is None or found.stored is not None or asked - acknowledged <= 1.0
                    if asked - acknowledged > 1.2:
                        answers.append(found)
                    await trio.sleep(0.01)

            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(reader)
            assert it.replica.standby.statistics.open >= 2
            assert {None if found is None else found.mark for found in answers} == {None, wrote.mark}


@asynccontextmanager
async def balanced(*ports: int) -> AsyncIterator[int]:
    """Give a port whose connections go to these in turn."""
    turns = itertools.cycle(ports)

    async def copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for some in source:
                await target.send_all(some)
        await target.aclose()

    async def relay(client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", next(turns))
        async with client, server, trio.open_nursery() as both:
            both.start_soon(copy, client, server)
            both.start_soon(copy, server, client)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, relay, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def test_behind_a_pooler_each_read_is_judged_in_its_own_transaction(primary, standby, name):
    with running_pgbouncer(standby, server_connections=2) as pooler:
        async with opened(primary.url(name), read_url=pooler.url(name)) as it:
            await until(lambda: it.replica_check.result.status is Status.UP and it.replica.is_near)
            assert "through a pooler" in it.replica_check.result.detail
            wrote = await put(it)
            assert revision(await seen(it, wrote.mark)) == wrote.revision
            assert await page(it, wrote.mark) == await it.store.page(Kind.SHELL)
            await paused(standby)
            await put(it)
            acknowledged = trio.current_time()
            await until(lambda: trio.current_time() > acknowledged + 1)
            assert await find(it) is None
            assert await page(it) is None
