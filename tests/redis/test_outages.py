"""What may happen to a server, a thread or a caller: told at once, mended without help, nothing left over."""

import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from supervisors.kernel import ChildExited
from tests.redis.test_client import get, set_and_get
from tests.support.redis import running_redis
from tests.support.redis_client import QUICK, calling, opened_redis
from tests.support.waiting import until
from titan.redis.contract import Commands, RedisAway, RedisRefused
from titan.redis.limits import Limits
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync
REAL = Limits()
ROOT = Path(__file__).parents[2]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_under_load_everybody_is_told_in_time_and_it_is_back_within_2_s(server, fault):
    """With the server's own times."""
    async with opened_redis(server.url(), limits=REAL) as it, calling(it.redis, callers=20) as calls:
        await until(lambda: calls.answered > 200)
        await in_thread(getattr(server, fault))
        await it.wait(Status.DEGRADED, within_s=2)
        await trio.sleep(1.5)
        told = [took_s for took_s, answered in calls.took_s if not answered]
        assert len(told) > 200
        assert sum(took_s > 0.1 for took_s in told) <= 20  # each caller at most once
        assert max(told) < REAL.timeout_s + 0.15
        await in_thread(server.thaw if fault == "freeze" else server.start)
        back_s, before = time.monotonic(), calls.answered
        await until(lambda: calls.answered > before)
        assert time.monotonic() - back_s < 2
        assert calls.wrong == []
        it.assert_no_exit()


async def test_a_server_that_froze_while_nobody_asked_is_noticed(server):
    async with opened_redis(server.url(), limits=REAL) as it:
        server.freeze()
        await it.wait(Status.DEGRADED, within_s=1.6)


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [
        ([("REPLICAOF", "127.0.0.1", "1")], [("REPLICAOF", "NO", "ONE")], "replica|READONLY"),
        (
            [("REPLICAOF", "127.0.0.1", "1"), ("CONFIG", "SET", "replica-serve-stale-data", "no")],
            [("CONFIG", "SET", "replica-serve-stale-data", "yes"), ("REPLICAOF", "NO", "ONE")],
            "MASTERDOWN|replica",
        ),
    ],
    ids=["a replica now", "a replica without its master"],
)
async def test_a_server_that_serves_nobody_is_away(server, begin, end, reason):
    """A write, an outsider's command and the prober's look come to the same."""
    async with opened_redis(server.url()) as it, calling(it.redis, callers=2) as calls:
        await until(lambda: calls.answered > 20)
        for words in begin:
            server.cli(*words)
        try:
            await it.wait(Status.DEGRADED, within_s=2)
            assert any(word in it.check.result.detail for word in reason.split("|"))
        finally:
            for words in end:
                assert server.cli(*words) == "OK"
        await it.wait(Status.UP, within_s=2)
        assert calls.wrong == []


async def test_a_server_that_loads_its_data_is_away_until_it_has():
    """20,000 keys, at least 50 µs each while loading: more than a second."""
    with running_redis(**{"enable-debug-command": "local", "loading-process-events-interval-bytes": "1024"}) as server:
        server.cli("DEBUG", "POPULATE", "20000", "key", "100")
        assert server.cli("SAVE") == "OK"
        server.cli("CONFIG", "SET", "key-load-delay", "50")
        async with opened_redis(server.url()) as it:
            loading = trio.Event()

            async def reload() -> None:
                await in_thread(server.cli, "DEBUG", "RELOAD", "NOSAVE")
                loading.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(reload)
                await it.wait(Status.DEGRADED, within_s=3)
                await loading.wait()
            await it.wait(Status.UP, within_s=2)
            assert any("LOADING" in line for line in it.lines)
            it.assert_no_exit()


async def test_a_server_that_has_no_room_for_us_is_away(server):
    """Another client takes the only place and gives it back."""
    async with opened_redis(server.url()) as it, calling(it.redis, callers=2) as calls:
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            other.sendall(b"CONFIG SET maxclients 1\r\nCLIENT KILL TYPE normal\r\n")
            await it.wait(Status.DEGRADED, within_s=2)
            await until(lambda: "max number of clients" in it.check.result.detail)
            other.sendall(b"CONFIG SET maxclients 500\r\n")
            await it.wait(Status.UP, within_s=2)
        assert calls.wrong == []


async def test_a_script_that_does_not_end_is_not_waited_for(server):
    server.cli("CONFIG", "SET", "busy-reply-threshold", "500")
    async with opened_redis(server.url()) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, server.cli, "EVAL", "while true do end", "0")
            await it.wait(Status.DEGRADED, within_s=2)
            await until(lambda: "BUSY" in it.check.result.detail, within_s=3)
            assert server.cli("SCRIPT", "KILL") == "OK"
        await it.wait(Status.UP, within_s=2)


async def test_a_server_without_memory_refuses_writes_and_answers_reads():
    with running_redis(maxmemory="1", **{"maxmemory-policy": "noeviction"}) as server:
        async with opened_redis(server.url()) as it:
            with pytest.raises(RedisRefused, match="OOM"):
                await it.redis.run(set_and_get, "a", b"x")
            assert await it.redis.run(get, "c") is None
            assert it.redis.down_because is None


async def test_when_the_islands_thread_dies_redis_is_away_and_comes_back_with_it(server):
    async def die() -> None:
        raise SystemExit

    files = open_files()
    async with opened_redis(server.url()) as it, calling(it.redis) as calls:
        await until(lambda: calls.answered > 20)
        with pytest.raises(Exception, match="died"):
            await it.island.run(die)
        before = calls.answered
        await until(lambda: calls.answered > before + 20)
        assert calls.wrong == []
        assert next(event.path for event in it.events if isinstance(event, ChildExited)) == "stores/island"
    await until(lambda: open_files() == files, what="every socket closed")


async def test_callers_that_are_cancelled_leave_no_answer_to_others(server):
    """Thousands give up at any moment while others go on over the same connection."""
    files = open_files()
    async with opened_redis(server.url()) as it, calling(it.redis, callers=4) as calls:
        for number in range(600):
            with trio.move_on_after(number % 40 / 10_000):
                await it.redis.run(set_and_get, "given-up", str(number).encode() * 100)
        before = calls.answered
        await until(lambda: calls.answered > before + 20)
        assert calls.wrong == []
        assert calls.forgotten == 0
        assert all(answered for _, answered in calls.took_s)
        assert it.lines == ["redis up: single"]
    await until(lambda: open_files() == files, what="every socket closed")


async def test_one_connection_serves_all_callers(server):
    async with opened_redis(server.url()) as it, calling(it.redis, callers=40) as calls:
        await until(lambda: calls.answered > 400)
        ours = [line for line in server.cli("CLIENT", "LIST").splitlines() if "name=titan-aas" in line]
        assert len(ours) == 1


async def test_a_connection_does_not_live_for_ever_and_nobody_notices_its_end(server):
    short = Limits(look_every_s=0.05, retry_s=(0.1, 0.14), max_age_s=0.2)
    async with opened_redis(server.url(), limits=short) as it, calling(it.redis) as calls:
        begun = int(server.info("total_connections_received"))
        await trio.sleep(1.5)
        assert int(server.info("total_connections_received")) - begun >= 4
        assert all(answered for _, answered in calls.took_s)
        assert (calls.wrong, it.lines) == ([], ["redis up: single"])


async def test_a_function_with_a_bug_is_a_bug(server):
    async def wrong(_: Commands) -> None:
        raise KeyError("x")

    async with opened_redis(server.url()) as it:
        with pytest.raises(KeyError):
            await it.redis.run(wrong)
        assert it.redis.down_because is None


async def test_a_call_that_takes_too_long_by_itself_is_ended(server):
    async def many(commands: Commands) -> None:
        while True:
            await commands.execute_command("PING")

    async with opened_redis(server.url(), limits=QUICK) as it:
        began = time.monotonic()
        with pytest.raises(RedisAway):
            await it.redis.run(many)
        assert time.monotonic() - began < 0.5


async def test_a_thread_that_stood_still_does_not_take_redis_for_away(server):
    """Redis answered in time; nobody was there to take it."""

    async def stand_still() -> None:
        time.sleep(0.6)  # noqa: ASYNC251  (what a garbage collection of a huge heap or a starved machine does)

    async with opened_redis(server.url(), limits=REAL) as it:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(it.island.run, stand_still)
                with suppress(RedisAway):
                    await it.redis.run(get, "a")
            await trio.sleep(0.3)
        assert await it.redis.run(get, "a") is None
        assert it.lines == ["redis up: single"]


@pytest.mark.parametrize(
    "said", [b"nonsense\r\n", b"*3\r\n$99999999999\r\n", b"+PONG\r\n" * 9, b"$-5\r\nx", b":x\r\n", b""]
)
async def test_a_server_that_talks_nonsense_is_away(said):
    async def talk(stream: trio.SocketStream) -> None:
        async with stream:
            while await stream.receive_some(10_000):
                await stream.send_all(said)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            trio.serve_tcp,
            talk,
            0,
        )
        port = listeners[0].socket.getsockname()[1]
        async with opened_redis(
            f"redis://127.0.0.1:{port}", limits=Limits(connect_s=0.2, retry_s=(0.1, 0.14)), ready=False
        ) as it:
            await it.wait(Status.DEGRADED, within_s=2)
            await trio.sleep(0.5)
            assert it.redis.down_because is not None
            it.assert_no_exit()
        nursery.cancel_scope.cancel()


def test_without_redis_its_driver_is_not_even_imported():
    code = "import sys, supervisors.root, supervisors.backends.postgres; print('redis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
