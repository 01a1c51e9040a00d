"""Reads on a real streaming standby: never older than they may be, whatever becomes of it; else the primary's turn."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress

import pytest
import trio

from supervisors.kernel import ChildExited, ChildRestarting
from tests.support.postgres import Postgres, make_cluster, running_server
from tests.support.postgres_store import Opened, fresh_database, opened
from tests.support.store_documents import document, submodel
from tests.support.waiting import until, wait_until
from titan.store.contract import Created, Field, Found, Kind, Page, Replaced, Term, WriteMode
from titan.store.migrations import on_postgres
from titan.store.postgres.replica import READ_S
from titan.store.postgres.url import parse
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync
ONE = "urn:test:one"
NEVER = 1 << 62
"""A mark that no snapshot shows."""


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with running_server() as server:
        yield server


@pytest.fixture
def name(primary: Postgres) -> Iterator[str]:
    with fresh_database(primary) as name:
        yield name


@pytest.fixture(scope="module")
def shared_standby(primary: Postgres) -> Iterator[Postgres]:
    with ExitStack() as stack:
        made = primary.standby(synchronous=False)
        stack.callback(made.remove)
        yield made


@pytest.fixture
def standby(shared_standby: Postgres) -> Iterator[Postgres]:
    """One that goes on following after the test."""
    yield shared_standby
    shared_standby.psql("SELECT pg_wal_replay_resume()")


@pytest.fixture
def doomed(primary: Postgres, name: str) -> Iterator[Postgres]:
    """One to do harm to."""
    made = primary.standby(synchronous=False)
    yield made
    made.remove()


@asynccontextmanager
async def reading(primary: Postgres, standby: Postgres, name: str, **options) -> AsyncIterator[Opened]:
    """The store and its replica; with the replica up and known to be near."""
    async with opened(primary.url(name), read_url=standby.url(name), **options) as it:
        await until(lambda: it.replica_check.result.status is Status.UP and it.replica.is_near, what="the replica")
        yield it
        assert [event for event in it.events if isinstance(event, ChildExited | ChildRestarting)] == []


async def find(it: Opened, document_id: str = ONE, mark: int = 0) -> Found | None:
    return await it.replica.find(Kind.SHELL, document_id, with_blobs=False, mark=mark)


async def put(it: Opened, text: str = "", document_id: str = ONE) -> Created | Replaced:
    outcome = await it.store.write(document(document_id, text=text), WriteMode.PUT)
    assert isinstance(outcome, Created | Replaced)
    return outcome


def revision(found: Found | None) -> int:
    """The revision found; 0 for none, and where the primary has to be asked."""
    return 0 if found is None or found.stored is None else found.stored.revision


async def page(it: Opened, mark: int = 0, **options) -> Page | None:
    asked = {"terms": (), "after": 0, "limit": 100, "with_blobs": False, **options}
    return await it.replica.page(Kind.SHELL, mark=mark, **asked)


async def seen(it: Opened, mark: int, document_id: str = ONE) -> Found:
    """Return what the replica finds once it shows the mark."""
    with trio.fail_after(10):
        while (found := await find(it, document_id, mark)) is None:  # noqa: ASYNC110  (another process gets there)
            await trio.sleep(0.002)
        return found


async def paused(standby: Postgres) -> None:
    await in_thread(standby.psql, "SELECT pg_wal_replay_pause()")
    state = "SELECT pg_get_wal_replay_pause_state()"
    await in_thread(wait_until, lambda: standby.psql(state) == "paused")


# --- what it reads


async def test_it_finds_what_the_primary_has_once_it_shows_it(primary, standby, name):
    async with reading(primary, standby, name) as it:
        wrote = await it.store.write(document(ONE, text="a"), WriteMode.CREATE)
        assert isinstance(wrote, Created)
        found = await seen(it, wrote.mark)
        assert found == await it.store.find(Kind.SHELL, ONE)
        assert found.stored is not None
        assert found.stored.mark == wrote.mark


async def test_absence_is_shown_as_well(primary, standby, name):
    async with reading(primary, standby, name) as it:
        await it.store.write(document(ONE), WriteMode.CREATE)
        deleted = await it.store.delete(Kind.SHELL, ONE)
        found = await seen(it, deleted.mark)
        assert found.stored is None
        assert found.mark >= deleted.mark
        assert await find(it, "x" * 3000) == Found(None, 0)


async def test_pages_are_the_primarys(primary, standby, name):
    async with reading(primary, standby, name) as it:
        for number in range(7):
            terms = ((Field.ID_SHORT, "even"), (Field.ASSET_ID, "a")) if number % 2 == 0 else ()
            wrote = await it.store.write(document(f"urn:{number}", terms=terms), WriteMode.CREATE)
        await seen(it, wrote.mark)
        both = (Term(Field.ID_SHORT, "even"), Term(Field.ASSET_ID, "a"))
        for options in ({}, {"limit": 3}, {"limit": 3, "after": 4}, {"terms": both}, {"terms": both, "limit": 1}):
            expected = await it.store.page(Kind.SHELL, **options)
            assert await page(it, wrote.mark, **options) == expected
        assert await page(it, after=NEVER * 4) == Page((), None)


async def test_elements_come_with_and_without_blobs(primary, standby, name):
    async with reading(primary, standby, name) as it:
        wrote = await it.store.write(submodel("urn:s", ("a", "1"), blob="AAAA"), WriteMode.CREATE)
        await seen(it, wrote.mark)
        for with_blobs in (False, True):
            found = await it.replica.find(Kind.SUBMODEL, "urn:s", with_blobs=with_blobs, mark=wrote.mark)
            assert found == await it.store.find(Kind.SUBMODEL, "urn:s", with_blobs=with_blobs)


# --- how new that is


async def test_a_mark_that_is_not_shown_is_the_primarys_business(primary, standby, name):
    async with reading(primary, standby, name) as it:
        await it.store.write(document(ONE), WriteMode.CREATE)
        assert await find(it, ONE, NEVER) is None
        assert await page(it, NEVER) is None
        assert it.replica_check.result.status is Status.UP


async def test_a_transaction_that_is_still_open_hides_later_marks_but_not_from_a_document_of_that_mark(
    primary, standby, name
):
    """The first open number is all that a standby's snapshot tells; a document knows its own."""
    async with reading(primary, standby, name) as it:
        long = "BEGIN; SELECT pg_current_xact_id(); " + "".join(f"SAVEPOINT s{n};" for n in range(100))
        with primary.session(long, name):
            wrote = await it.store.write(document(ONE), WriteMode.CREATE)
            assert (await seen(it, wrote.mark)).stored is not None
            assert await page(it, wrote.mark) is None
            assert await find(it, "urn:test:other", wrote.mark) is None
            listed = await page(it)
            assert listed is not None
            assert len(listed.items) == 1
        with trio.fail_after(10):
            while await page(it, wrote.mark) is None:  # noqa: ASYNC110  (another process gets there)
                await trio.sleep(0.01)


async def test_with_many_writers_whoever_reads_after_a_write_sees_it_or_is_sent_to_the_primary(primary, standby, name):
    answered, refused = 0, 0

    async def session(number: int) -> None:
        nonlocal answered, refused
        mine = f"urn:test:{number}"
        for round_ in range(40):
            wrote = await it.store.write(document(mine, text=str(round_)), WriteMode.PUT)
            assert isinstance(wrote, Created | Replaced)
            found = await find(it, mine, wrote.mark)
            listed = await page(it, wrote.mark)
            if found is not None:
                assert found.stored is not None
                assert found.stored.revision >= wrote.revision
            if listed is not None:
                [here] = [item for item in listed.items if item.id == mine]
                assert here.revision >= wrote.revision
            answered += (found is not None) + (listed is not None)
            refused += (found is None) + (listed is None)

    async with reading(primary, standby, name) as it, trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(session, number)
    assert answered > 0
    assert answered + refused == 6 * 40 * 2


async def test_paused_it_answers_nobody_after_a_second_and_is_degraded_within_two_of_its_bound(primary, standby, name):
    async with reading(primary, standby, name, max_lag_s=2.0) as it:
        first = await put(it, "a")
        await seen(it, first.mark)
        await paused(standby)
        begun = trio.current_time()
        second = await put(it, "b")
        acknowledged = trio.current_time()
        assert await find(it, ONE, second.mark) is None
        stale = 0
        while it.replica_check.result.status is not Status.DEGRADED:
            asked = trio.current_time()
            if revision(await find(it)) == first.revision:
                stale += 1
                assert asked - acknowledged <= 1.0
            assert asked - begun <= 4.0
            await trio.sleep(0.005)
        assert stale > 0  # a second is allowed, so the replica is of use until then
        assert trio.current_time() - begun > 2.0
        assert "more than 2 s behind" in it.replica_check.result.detail
        assert it.replica_check.result.is_away
        assert (it.replica.lag.behind_s or 0) > 2.0
        assert it.check.result.status is Status.UP
        assert await find(it) is None
        assert await page(it) is None
        await in_thread(standby.psql, "SELECT pg_wal_replay_resume()")
        await until(lambda: it.replica_check.result.status is Status.UP, within_s=3)
        assert revision(await seen(it, second.mark)) == second.revision
        await until(lambda: it.replica.lag.behind_s == 0)


async def test_on_an_idle_primary_it_is_not_behind(primary, standby, name):
    """Also after a log file was switched, and beside a transaction that wrote and waits."""
    async with reading(primary, standby, name) as it:
        await in_thread(primary.psql, "SELECT pg_switch_wal()")
        with primary.session("BEGIN; INSERT INTO titan_meta VALUES ('test', '')", name):
            await trio.sleep(1.2)
            await until(lambda: it.replica.lag.behind_s == 0 and it.replica.is_near)
            assert await find(it) is not None


# --- whatever becomes of it


async def test_killed_it_is_away_at_once_and_used_again_when_it_is_back(primary, doomed, name):
    async with reading(primary, doomed, name) as it:
        wrote = await it.store.write(document(ONE), WriteMode.CREATE)
        await in_thread(doomed.kill)
        begun = trio.current_time()
        assert await find(it) is None
        assert trio.current_time() - begun < READ_S + 0.3
        await until(lambda: it.replica_check.result.is_away, within_s=2)
        assert it.replica_check.result.status is Status.DEGRADED
        await until(lambda: "Connection refused" in it.replica_check.result.detail)
        assert it.replica.lag.behind_s is None
        await in_thread(doomed.start)
        await until(lambda: it.replica_check.result.status is Status.UP, within_s=5)
        await seen(it, wrote.mark)


async def test_frozen_it_costs_those_who_are_under_way_one_time_out_and_nobody_after(primary, doomed, name):
    async with reading(primary, doomed, name) as it:
        await it.store.write(document(ONE), WriteMode.CREATE)
        await in_thread(doomed.freeze)
        begun = trio.current_time()
        assert await find(it) is None
        assert trio.current_time() - begun < READ_S + 0.3
        for _ in range(20):
            asked = trio.current_time()
            assert await find(it) is None
            assert trio.current_time() - asked < 0.05
        await until(lambda: it.replica_check.result.is_away, within_s=2)
        await in_thread(doomed.thaw)
        await until(lambda: it.replica_check.result.status is Status.UP, within_s=5)
        await until(lambda: it.replica.is_near)
        assert await find(it) is not None


async def test_promoted_it_is_never_read_again(primary, doomed, name):
    async with reading(primary, doomed, name) as it:
        wrote = await it.store.write(document(ONE, text="a"), WriteMode.CREATE)
        await seen(it, wrote.mark)
        await in_thread(doomed.promote)
        await in_thread(doomed.psql, 'UPDATE titan_document SET header = \'{"text": "split"}\'', name)
        for _ in range(200):
            assert await find(it) is None
            assert await page(it) is None
            await trio.sleep(0.005)
        await until(lambda: it.replica_check.result.is_away, within_s=2)
        assert "no standby" in it.replica_check.result.detail


async def test_away_at_the_start_it_is_a_state_and_is_found_when_it_comes(primary, doomed, name):
    await in_thread(doomed.kill)
    async with opened(primary.url(name), read_url=doomed.url(name)) as it:
        await until(lambda: it.replica_check.result.status is Status.DEGRADED)
        assert await find(it) is None
        assert (await it.store.find(Kind.SHELL, ONE)).stored is None
        await in_thread(doomed.start)
        await until(lambda: it.replica_check.result.status is Status.UP, within_s=5)
        await seen(it, 0)


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


@pytest.fixture
def trio_of_servers() -> Iterator[tuple[Postgres, Postgres, Postgres]]:
    """A primary with a database `titan`, and two standbys of it."""
    with ExitStack() as stack:
        one = stack.enter_context(running_server())
        on_postgres.upgrade(parse(one.create_database("titan")))
        others = []
        for _ in range(2):
            others.append(one.standby(synchronous=False))
            stack.callback(others[-1].remove)
        yield one, others[0], others[1]


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


async def position(server: Postgres, of: str) -> int:
    return int(await in_thread(server.psql, f"SELECT ({of} - '0/0')::bigint"))


async def test_the_primary_away_nothing_is_read_that_nobody_could_judge(trio_of_servers):
    primary, replica, _ = trio_of_servers
    async with opened(primary.url("titan"), read_url=replica.url("titan")) as it:
        await it.store.write(document(ONE), WriteMode.CREATE)
        await until(lambda: it.replica.is_near)
        await in_thread(primary.kill)
        away = trio.current_time()
        answered_at = away
        while trio.current_time() - away < 2.5:
            if await find(it) is not None:
                answered_at = trio.current_time()
            await trio.sleep(0.02)
        assert answered_at - away <= 1.0
        assert it.replica.lag.behind_s is None
        assert it.replica_check.result.status is Status.UP
        await in_thread(primary.start)
        await it.wait(Status.UP, within_s=5)
        await until(lambda: it.replica.is_near)


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
