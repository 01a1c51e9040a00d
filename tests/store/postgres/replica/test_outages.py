"""A replica killed, frozen, promoted, damaged, or its primary away: a state, and the primary answers."""

import pytest
import trio

from supervisors.kernel import ChildRestarting
from tests.support.postgres_store import Opened, opened
from tests.support.replicas import ONE, REPLAYED, find, in_thread, page, position, put, reading, seen
from tests.support.store_documents import document
from tests.support.waiting import until, wait_until
from titan.island import IslandDown
from titan.store.contract import Kind, WriteMode
from titan.store.postgres.replica import READ_S
from titan.telemetry.health import Status


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


async def test_a_replica_with_damaged_data_is_not_asked_again(primary, doomed, name):
    async with opened(primary.url(name)) as it:
        await put(it)
        file = await in_thread(primary.psql, "SELECT pg_relation_filepath('titan_document')", name)
        await in_thread(primary.psql, "CHECKPOINT")
        at = await position(primary, "pg_current_wal_flush_lsn()")
        await in_thread(wait_until, lambda: int(doomed.psql(f"SELECT ({REPLAYED} - '0/0')::bigint")) >= at)
    await in_thread(doomed.psql, "CHECKPOINT")  # else it would make good the damage by replaying its log
    await in_thread(doomed.stop)
    with (doomed.data / file).open("r+b") as table:
        table.write(b"\xff" * 8192)
    await in_thread(doomed.start)
    async with reading(primary, doomed, name) as it:
        assert await find(it) is None
        await until(lambda: "damaged" in it.replica_check.result.detail)
        assert it.replica_check.result.status is Status.DEGRADED
        assert not it.replica.is_near
        assert await it.store.get(Kind.SHELL, ONE) is not None


async def test_when_the_drivers_thread_dies_it_is_connected_anew_with_the_rest(primary, standby, name):
    async with opened(primary.url(name), read_url=standby.url(name)) as it:
        await until(lambda: it.replica.is_near)
        with pytest.raises(IslandDown):
            await it.island.run(die)
        assert await find(it) is None
        await until(lambda: len(restarts(it)) == 3)
        assert restarts(it) == ["stores/island", "stores/database", "stores/replica"]
        await until(lambda: it.replica_check.result.status is Status.UP and it.replica.is_near)
        assert await find(it) is not None


def restarts(it: Opened) -> list[str]:
    return [event.path for event in it.events if isinstance(event, ChildRestarting)]


async def die() -> None:
    raise SystemExit(3)
