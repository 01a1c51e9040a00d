"""Sentinels: the server that they name is found, followed through fail-overs, and none of them is needed for long."""

from collections.abc import Iterator

import pytest
import trio

from tests.support.redis_client import calling, opened_redis
from tests.support.redis_sentinel import Watched, sentinels
from tests.support.redis_trap import assert_one_attempt_a_second, trap
from tests.support.waiting import until, wait_until
from titan.redis.contract import Commands
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync


@pytest.fixture(scope="module")
def _shared() -> Iterator[Watched]:
    with sentinels() as watched:
        yield watched


@pytest.fixture
def watched(_shared: Watched) -> Watched:
    """All of it, well: three Sentinels that agree, a master and two replicas that follow it."""
    for process in _shared.processes:
        if not process.is_running:
            process.start()
        process.thaw()
    wait_until_agreed(_shared)
    for server in _shared.servers:
        if server is not _shared.master:  # the Sentinels would do it after 10 s
            server.cli("REPLICAOF", "127.0.0.1", str(_shared.master.port))
    wait_until(lambda: _shared.master.info("connected_slaves") == "2", within_s=30, what="replication")
    return _shared


def wait_until_agreed(watched: Watched) -> None:
    """Return once all Sentinels name the same server, and that takes writes."""

    def have_agreed() -> bool:
        ports = {sentinel.master_port() for sentinel in watched.sentinels}
        return len(ports) == 1 and watched.master.info("role") == "master"

    wait_until(have_agreed, within_s=30, what="a master")


async def where(commands: Commands) -> int:
    words = (await commands.execute_command("INFO", "server")).split()
    return int(next(word.partition(b":")[2] for word in words if word.startswith(b"tcp_port:")))


async def test_the_master_is_found(watched):
    async with opened_redis(watched.url()) as it:
        assert it.check.result.detail == "Sentinel"
        assert await it.redis.run(where) == watched.master.port


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_after_a_fail_over_the_new_master_is_used(watched, fault):
    old = await in_thread(lambda: watched.master)
    async with opened_redis(watched.url()) as it, calling(it.redis) as calls:
        await until(lambda: calls.answered > 20)
        await in_thread(getattr(old, fault))
        new = await in_thread(watched.wait_for_another_master, old)
        await it.wait(Status.UP, within_s=2)
        assert await it.redis.run(where) == new.port
        if fault == "freeze":
            old.thaw()  # and believes for a moment that it still is the master
            await trio.sleep(0.5)
            assert await it.redis.run(where) == new.port
        before = calls.answered
        await until(lambda: calls.answered > before + 20)
        assert calls.wrong == []
        assert calls.slow(0.45) == 0
        it.assert_no_exit()


async def test_a_fail_over_on_purpose_is_followed_although_the_old_master_stays(watched):
    old = await in_thread(lambda: watched.master)
    async with opened_redis(watched.url()) as it, calling(it.redis) as calls:
        await until(lambda: calls.answered > 20)
        order = ("SENTINEL", "FAILOVER", "mymaster")  # NOGOODSLAVE until it has looked at the replicas of late
        await in_thread(lambda: wait_until(lambda: watched.sentinels[0].cli(*order) == "OK"))
        new = await in_thread(watched.wait_for_another_master, old)
        await it.wait(Status.UP, within_s=2)
        at: list[int] = []
        while at[-1:] != [new.port]:  # a look is 0.1 s away
            assert len(at) < 20
            await trio.sleep(0.1)
            at.append(await it.redis.run(where))
        assert calls.wrong == []


async def test_sentinels_away_are_no_reason_to_be_down(watched):
    async with opened_redis(watched.url()) as it, calling(it.redis, callers=2) as calls:
        for sentinel in watched.sentinels:
            await in_thread(sentinel.kill)
        await trio.sleep(1)
        assert it.redis.down_because is None
        assert all(answered for _, answered in calls.took_s)


async def test_the_first_sentinel_away_at_the_start_is_passed_over(watched):
    await in_thread(watched.sentinels[0].kill)
    async with opened_redis(watched.url(), ready=False) as it:
        await it.wait(Status.UP, within_s=2)
        assert any("Sentinel: Connection refused" in line for line in it.lines)


async def test_a_name_that_no_sentinel_knows_is_said(watched):
    async with opened_redis(watched.url().replace("=mymaster", "=other"), ready=False) as it:
        await it.wait(Status.DEGRADED)
        assert "knows no master called other" in it.check.result.detail


async def test_a_sentinel_that_is_there_is_asked_without_connecting_anew(watched):
    """The master and two Sentinels are gone, so that nobody can take over."""
    gone = [await in_thread(lambda: watched.master), *watched.sentinels[:2]]
    for process in gone:
        await in_thread(process.kill)
    with trap([process.port for process in gone], hangs_up=True) as trapped:
        await assert_one_attempt_a_second(watched.url(), trapped)
