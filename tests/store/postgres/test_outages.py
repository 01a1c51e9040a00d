"""PostgreSQL away, killed, frozen, restarted, demoted, replaced: a state, never an exit, and nothing is lost."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio

from supervisors.kernel import ChildExited, ChildRestarting
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_load import Load
from tests.support.postgres_store import Opened, fresh_database, opened
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.island import IslandDown
from titan.store.contract import Kind, StoreUnavailable, WriteMode
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync


@pytest.fixture(scope="module")
def running() -> Iterator[Postgres]:
    with running_server(max_connections="20", superuser_reserved_connections="3") as server:
        yield server


@pytest.fixture
def server(running: Postgres) -> Postgres:
    """A server to do harm to; it is up again for each test."""
    if not running.is_running:
        running.start()
    return running


@pytest.fixture
def name(server) -> Iterator[str]:
    with fresh_database(server) as name:
        yield name
        if not server.is_running:
            server.start()


def assert_no_exit(it: Opened) -> None:
    assert [event for event in it.events if isinstance(event, ChildExited | ChildRestarting)] == []


async def test_a_server_that_is_not_there_at_the_start_is_a_state_and_is_found_when_it_comes(server, name):
    await in_thread(server.stop)
    async with opened(server.url(name), ready=False) as it:
        assert it.check.result.status is Status.DOWN
        assert it.check.result.detail == f"Connection refused (127.0.0.1:{server.port})"
        with pytest.raises(StoreUnavailable, match="Connection refused"):
            await it.store.get(Kind.SHELL, "x")
        await in_thread(server.start)
        await it.wait(Status.UP, within_s=3)
        await it.store.write(document(), WriteMode.CREATE)
        assert_no_exit(it)


async def test_a_killed_server_is_noticed_at_once_and_used_again_when_it_is_back(server, name):
    async with opened(server.url(name)) as it:
        load = Load(it.store)
        async with load.running():
            await in_thread(server.kill)
            await it.wait(Status.DOWN, within_s=2)
            await until(lambda: any("Connection refused" in reason for reason in load.reasons))
            await in_thread(server.start)
            await it.wait(Status.UP, within_s=3)
        assert load.outcomes["unavailable"] > 0
        assert load.slowest_s < 2
        await load.assert_nothing_lost()
        await until(lambda: it.database.statistics.in_use == 0)  # those that were cancelled are proven well aside
        assert_no_exit(it)


async def test_a_frozen_server_is_noticed_and_keeps_nobody_waiting(server, name):
    async with opened(server.url(name)) as it:
        load = Load(it.store)
        async with load.running():
            server.freeze()
            await it.wait(Status.DOWN, within_s=2)
            assert it.check.result.detail == "no answer in time"
            await trio.sleep(0.5)  # long enough to see that it does not come up by itself
            assert it.check.result.status is Status.DOWN
            server.thaw()
            await it.wait(Status.UP, within_s=3)
        assert load.slowest_s < 2
        assert load.outcomes["too slow"] == 0
        await load.assert_nothing_lost()
        assert_no_exit(it)


async def test_a_server_that_restarts_quickly_loses_nothing(server, name):
    async with opened(server.url(name)) as it:
        load = Load(it.store)
        async with load.running():
            for _ in range(3):
                await in_thread(server.stop)
                await in_thread(server.start)
                await it.wait(Status.UP, within_s=3)
                await load.some(10)
        assert load.slowest_s < 2
        await load.assert_nothing_lost()
        assert_no_exit(it)


async def test_sessions_ended_by_an_administrator_are_replaced(server, name):
    async with opened(server.url(name)) as it:
        load = Load(it.store)
        async with load.running():
            for _ in range(3):
                await in_thread(
                    server.psql,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE datname = '{name}' AND pid <> pg_backend_pid()",
                )
                await it.wait(Status.UP, within_s=3)
                await load.some(10)
        await load.assert_nothing_lost()
        assert_no_exit(it)


async def test_a_server_that_turns_read_only_is_refused_until_it_takes_writes_again(server, name):
    async with opened(server.url(name)) as it:
        await it.store.write(document(), WriteMode.CREATE)
        await in_thread(server.psql, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await in_thread(
            server.psql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND pid <> pg_backend_pid()",
        )
        await until(lambda: "read-only" in it.check.result.detail)
        assert it.check.result.status is Status.DOWN
        await in_thread(server.psql, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await it.wait(Status.UP, within_s=3)
        await it.store.write(document(), WriteMode.PUT)


async def test_at_the_limit_of_connections_the_start_waits_with_the_reason(server, name):
    with ExitStack() as stack:
        await in_thread(stack.enter_context, server.crowd(17))
        async with opened(server.url(name), ready=False) as it:
            await until(lambda: "too many connections" in it.check.result.detail)
            assert it.check.result.status is Status.DOWN
            await in_thread(stack.close)
            await it.wait(Status.UP, within_s=3)
            assert_no_exit(it)


async def test_at_the_limit_of_connections_those_that_are_open_go_on_serving(server, name):
    async with opened(server.url(name)) as it:
        with ExitStack() as stack:
            await in_thread(stack.enter_context, server.crowd(17 - it.database.statistics.open - 1))
            load = Load(it.store)
            async with load.running(writers=20):
                await it.wait(Status.DEGRADED, within_s=3)
                assert "too many connections" in it.check.result.detail
                await load.some(50)
                await in_thread(stack.close)
                await it.wait(Status.UP, within_s=3)
            await load.assert_nothing_lost()
            assert_no_exit(it)


async def test_after_a_synchronous_fail_over_everything_acknowledged_is_there():
    with ExitStack() as stack:
        primary = await in_thread(stack.enter_context, running_server())
        url = parse(primary.create_database("titan"))
        await in_thread(on_postgres.upgrade, url)
        standby = await in_thread(primary.standby)
        stack.callback(standby.remove)
        both = f"postgresql://titan@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/titan"
        async with opened(both) as it:
            load = Load(it.store)
            async with load.running():
                await in_thread(primary.kill)
                await it.wait(Status.DOWN, within_s=2)
                await until(lambda: "Connection refused" in it.check.result.detail)
                assert "is a standby" in it.check.result.detail
                await in_thread(standby.promote)
                await it.wait(Status.UP, within_s=3)
            await load.assert_nothing_lost()
            assert_no_exit(it)


async def test_under_a_thread_that_dies_nothing_acknowledged_is_lost_and_it_is_restarted_once(server, name):
    async with opened(server.url(name)) as it:
        load = Load(it.store)
        async with load.running():
            with pytest.raises(IslandDown):
                await it.island.run(die)
            await it.wait(Status.DOWN, within_s=2)
            await it.wait(Status.UP, within_s=3)
        assert load.slowest_s < 2
        assert load.outcomes["unavailable"] + load.outcomes["unknown"] > 0
        await load.assert_nothing_lost()
        restarts = [event.path for event in it.events if isinstance(event, ChildRestarting)]
        assert restarts == ["stores/island", "stores/database"]


async def die() -> None:
    raise SystemExit(3)
