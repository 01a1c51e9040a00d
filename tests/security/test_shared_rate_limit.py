"""Counting in a real Redis: together, by its clock, whatever lies under the key, and without it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.security.support import CLIENT, KEY, Limited, made
from tests.support.redis import RedisServer
from tests.support.redis_client import opened_redis
from titan.http.rate import Verdict
from titan.security.quota import MAX_PER_MINUTE
from titan.telemetry.health import Status


@asynccontextmanager
async def limited(server: RedisServer, per_minute: int = 3, *, local: bool = False) -> AsyncIterator[Limited]:
    async with opened_redis(server.url()) as redis:
        yield made(redis, per_minute, local=local)


async def on_server(server: RedisServer, *command: str) -> str:
    return await trio.to_thread.run_sync(server.cli, *command)


async def test_what_redis_counts_is_what_the_arithmetic_says(server):
    async with limited(server, 3) as one:
        verdicts = [await one.limit.ask(CLIENT) for _ in range(4)]
        assert all(isinstance(verdict, Verdict) for verdict in verdicts)
        seen = [(verdict.is_granted, verdict.remaining, verdict.window_s) for verdict in verdicts if verdict]
        assert seen == [(True, 2, 40), (True, 1, 20), (True, 0, 20), (False, 0, 20)]
        assert one.counted == {("redis", True): 3, ("redis", False): 1}


async def test_two_instances_count_together_also_at_the_same_time(server):
    async with limited(server, 10) as one, opened_redis(server.url()) as second:
        other = made(second, 10)
        passed: list[int] = []

        async def ask(instance: Limited) -> None:
            passed.append(await instance.granted(1))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask, one)
                nursery.start_soon(ask, other)
        assert (sum(passed), len(passed)) == (10, 40)
        assert await other.granted(1, "192.0.2.2") == 1


async def test_the_key_ends_when_the_quota_is_whole(server):
    async with limited(server, 60) as one:
        await one.granted(30)
        assert 28_000 < int(await on_server(server, "PTTL", KEY)) <= 30_000
        assert await on_server(server, "TYPE", KEY) == "string"
        assert await on_server(server, "DBSIZE") == "1"


async def test_the_lowest_rate_is_one_request(server):
    async with limited(server, 1) as one:
        assert await one.granted(3) == 1


async def test_the_highest_rate_is_counted_one_by_one(server):
    async with limited(server, MAX_PER_MINUTE) as one:
        verdict = await one.limit.ask(CLIENT)
        assert verdict is not None
        assert verdict.remaining == MAX_PER_MINUTE - 1


@pytest.mark.parametrize(
    "command",
    [
        ("HSET", KEY, "a", "1"),
        ("RPUSH", KEY, "1"),
        ("SET", KEY, ""),
        ("SET", KEY, "not a number"),
        ("SET", KEY, "nan"),
        ("SET", KEY, "inf"),
        ("SET", KEY, "-5"),
        ("SET", KEY, "9" * 300),
        ("SET", KEY, "1e18"),
    ],
)
async def test_what_cannot_be_ours_under_the_key_counts_as_nothing(server, command):
    async with limited(server, 3) as one:
        await on_server(server, *command)
        assert await one.granted(4) == 3
        assert int(await on_server(server, "PTTL", KEY)) > 0
        assert one.notices == []


async def test_after_flushall_counting_begins_anew(server):
    async with limited(server, 3) as one:
        assert await one.granted(4) == 3
        await on_server(server, "FLUSHALL")
        await on_server(server, "SCRIPT", "FLUSH")
        assert await one.granted(4) == 3


async def test_the_clock_of_a_server_that_took_over_may_be_behind(server):
    async with limited(server, 60) as one:
        seconds = int((await on_server(server, "TIME")).splitlines()[0])
        await on_server(server, "SET", KEY, str((seconds + 75) * 1_000_000))
        assert await one.granted(1) == 0
        await on_server(server, "SET", KEY, str((seconds + 200) * 1_000_000))  # nobody is kept out for longer
        assert await one.granted(1) == 1


@pytest.mark.parametrize("trouble", ["kill", "freeze"])
@pytest.mark.parametrize(("local", "passed"), [(False, 20), (True, 3)])
async def test_without_redis_requests_pass_or_are_counted_here(server, trouble, local, passed):
    async with limited(server, 3, local=local) as one:
        assert await one.granted(4) == 3
        await trio.to_thread.run_sync(getattr(server, trouble))
        began = trio.current_time()
        assert await one.granted(20) == passed
        assert trio.current_time() - began < 1.0  # one call waits for its time-out, the others know
        assert one.counted["local" if local else "nobody", True] == passed
        await one.redis.wait(Status.DEGRADED)
        assert one.notices == []
        await trio.to_thread.run_sync(server.thaw if trouble == "freeze" else server.start)
        await one.redis.wait(Status.UP)
        await on_server(server, "FLUSHALL")
        assert await one.granted(4) == 3  # Redis counts again
        assert one.counted["redis", True] == 6


async def test_a_redis_that_refuses_is_no_error_and_is_told_of_once_a_minute(server):
    async with limited(server, 3) as one:
        await on_server(server, "CONFIG", "SET", "maxmemory", "1")
        try:
            assert await one.granted(20) == 20
            assert len(one.notices) == 1
            assert "OOM" in one.notices[0]
            one.now_s += 61
            assert await one.granted(20) == 20
            assert len(one.notices) == 2
        finally:
            await on_server(server, "CONFIG", "SET", "maxmemory", "0")
        assert await one.granted(4) == 3
