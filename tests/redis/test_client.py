"""One server: calls, errors, time-outs; away is a state, told at once, and never an exit."""

import time

import pytest
import trio

from tests.support.redis_client import opened_redis
from tests.support.waiting import until
from titan.redis.contract import Commands, RedisAway, RedisRefused, Script
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync


async def set_and_get(commands: Commands, key: str, value: bytes) -> bytes:
    await commands.execute_command("SET", key, value, "PX", 60_000)
    got: bytes = await commands.execute_command("GET", key)
    return got


async def get(commands: Commands, key: str) -> bytes | None:
    got: bytes | None = await commands.execute_command("GET", key)
    return got


async def command(commands: Commands, *words: str) -> object:
    return await commands.execute_command(*words)


async def test_bytes_come_back_as_they_went(server):
    value = bytes(range(256)) * 64
    async with opened_redis(server.url()) as it:
        assert await it.redis.run(set_and_get, "a", value) == value
        assert await it.redis.run(get, "nothing") is None
        assert it.check.result.detail == "single"


async def test_a_script_is_sent_once_per_server(server):
    script = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")

    async def run(commands: Commands) -> object:
        return await commands.run_script(script, "n", 2)

    async with opened_redis(server.url()) as it:
        assert await it.redis.run(run) == 2
        assert await it.redis.run(run) == 4
        server.cli("SCRIPT", "FLUSH")
        assert await it.redis.run(run) == 6
        assert server.info("cmdstat_eval").startswith("calls=2,")


async def test_a_refused_command_is_no_reason_to_be_away(server):
    async with opened_redis(server.url()) as it:
        server.cli("LPUSH", "list", "x")
        with pytest.raises(RedisRefused, match="WRONGTYPE"):
            await it.redis.run(get, "list")
        assert it.redis.down_because is None


async def test_a_server_that_is_not_there_at_the_start_is_a_state_and_is_found_when_it_comes(server):
    await in_thread(server.kill)
    async with opened_redis(server.url(), ready=False) as it:
        await it.wait(Status.DEGRADED)
        away = it.check.result
        assert away.detail == f"away: Connection refused (127.0.0.1:{server.port})"
        assert not away.is_there
        with pytest.raises(RedisAway, match="Connection refused"):
            await it.redis.run(get, "a")
        await in_thread(server.start)
        await it.wait(Status.UP, within_s=2)
        assert it.check.result.is_there
        it.assert_no_exit()


async def test_a_frozen_server_costs_one_time_out_once(server):
    async with opened_redis(server.url()) as it:
        server.freeze()
        began = time.monotonic()
        with pytest.raises(RedisAway, match="no answer in time"):
            await it.redis.run(get, "a")
        assert time.monotonic() - began < 0.4
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(RedisAway):
                await it.redis.run(get, "a")
        assert time.monotonic() - began < 0.1
        await it.wait(Status.DEGRADED)
        server.thaw()
        await it.wait(Status.UP, within_s=2)
        assert await it.redis.run(get, "a") is None


async def test_a_message_arrives_and_the_end_of_the_connection_is_told(server):
    heard: list[bytes] = []
    ended: list[str] = []
    async with opened_redis(server.url()) as it, trio.open_nursery() as nursery:

        async def listen() -> None:
            ended.append(await it.redis.listen("news", heard.append))

        nursery.start_soon(listen)
        await until(lambda: server.cli("PUBLISH", "news", "hello") == "1")
        await until(lambda: heard == [b"hello"])
        await in_thread(server.kill)
        await until(lambda: len(ended) == 1)
        with pytest.raises(RedisAway):
            await it.redis.listen("news", heard.append)


async def test_redis_own_count_of_its_clients(server):
    async with opened_redis(server.url()) as it:
        await until(lambda: it.actor.connected_clients is not None)
        assert it.actor.connected_clients == float(server.info("connected_clients")) - 1  # without redis-cli
        await in_thread(server.kill)
        await until(lambda: it.actor.connected_clients is None)
