"""What every election promises: the same suite on Redis, on PostgreSQL, and on the one that the other tests use."""

import math
from collections.abc import AsyncIterator

import pytest
import trio

from tests.support.book import Book
from tests.support.postgres_store import fresh_database, opened
from tests.support.redis import running_redis
from tests.support.redis_client import opened_redis
from titan.coordination.alone import Alone
from titan.coordination.election import Election, ElectionAway, Held
from titan.coordination.on_postgres import PostgresElection
from titan.coordination.on_redis import RedisElection

ROLE = "cleanup-worker"
LONG_S = 30.0
SHORT_S = 0.2


@pytest.fixture(scope="module")
def redis():
    with running_redis() as server:
        yield server


@pytest.fixture(params=["redis", "postgres", "book"])
async def election(request) -> AsyncIterator[Election]:
    if request.param == "redis":
        server = request.getfixturevalue("redis")
        await trio.to_thread.run_sync(server.flushall)
        async with opened_redis(server.url()) as it:
            yield RedisElection(it.redis)
    elif request.param == "postgres":
        server = request.getfixturevalue("postgres")
        with fresh_database(server) as name:
            async with opened(server.url(name)) as opened_store:
                yield PostgresElection(opened_store.store.leases)
    else:
        yield Book()


async def test_the_first_one_gets_it_and_nobody_after(election):
    assert await election.look(ROLE) is None
    assert await election.acquire(ROLE, "one", LONG_S)
    assert not await election.acquire(ROLE, "two", LONG_S)
    assert not await election.acquire(ROLE, "one", LONG_S)
    held = await election.look(ROLE)
    assert held is not None
    assert (held.holder, held.is_asked_for) == ("one", False)
    assert LONG_S - 5 < held.left_s <= LONG_S


async def test_of_many_at_once_one_gets_it(election):
    won = []

    async def try_it(name):
        if await election.acquire(ROLE, name, LONG_S):
            won.append(name)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(try_it, f"n{number}")
    held = await election.look(ROLE)
    assert held is not None
    assert won == [held.holder]


async def test_roles_know_nothing_of_each_other(election):
    assert await election.acquire(ROLE, "one", LONG_S)
    assert await election.acquire("external-sync", "two", LONG_S)
    await election.release(ROLE, "one")
    assert await election.look(ROLE) is None
    assert (await election.look("external-sync")).holder == "two"


async def test_it_ends_by_itself_and_another_one_gets_it(election):
    assert await election.acquire(ROLE, "one", SHORT_S)
    await trio.sleep(SHORT_S + 0.05)
    assert await election.look(ROLE) is None
    assert not await election.renew(ROLE, "one", LONG_S)
    assert await election.acquire(ROLE, "two", LONG_S)


@pytest.mark.parametrize("ttl_s", [LONG_S, 0.75])
async def test_a_renewal_moves_its_end(election, ttl_s):
    assert await election.acquire(ROLE, "one", 2.0)
    assert await election.renew(ROLE, "one", ttl_s)
    held = await election.look(ROLE)
    assert held is not None
    assert ttl_s - 0.5 < held.left_s <= ttl_s


async def test_only_its_holder_renews_and_releases_it(election):
    assert await election.acquire(ROLE, "one", LONG_S)
    assert not await election.renew(ROLE, "two", LONG_S)
    await election.release(ROLE, "two")
    assert (await election.look(ROLE)).holder == "one"
    await election.release(ROLE, "one")
    assert await election.look(ROLE) is None
    assert not await election.renew(ROLE, "one", LONG_S)


async def test_its_holder_can_be_asked_to_let_go(election):
    assert not await election.ask(ROLE)
    assert await election.acquire(ROLE, "one", LONG_S)
    for _ in range(2):
        assert await election.ask(ROLE)
        held = await election.look(ROLE)
        assert held is not None
        assert (held.holder, held.is_asked_for) == ("one", True)
        assert held.left_s <= LONG_S
    assert await election.renew(ROLE, "one", LONG_S)  # it may take its time to stop
    assert (await election.look(ROLE)).is_asked_for
    await election.release(ROLE, "one")
    assert await election.acquire(ROLE, "two", LONG_S)
    assert not (await election.look(ROLE)).is_asked_for  # asked of the one before


async def test_it_can_be_taken_away(election):
    await election.clear(ROLE)
    assert await election.acquire(ROLE, "one", LONG_S)
    await election.clear(ROLE)
    assert await election.acquire(ROLE, "two", LONG_S)


async def test_alone_one_wins_at_once_and_for_ever():
    alone = Alone()
    assert await alone.look(ROLE) is None
    assert await alone.acquire(ROLE, "one", LONG_S)
    assert await alone.renew(ROLE, "one", LONG_S)
    assert await alone.look(ROLE) == Held("one", math.inf, is_asked_for=False)
    assert not await alone.ask(ROLE)
    await alone.release(ROLE, "one")
    assert await alone.look(ROLE) is None
    assert await alone.acquire(ROLE, "one", LONG_S)
    await alone.clear(ROLE)
    assert not await alone.renew(ROLE, "one", LONG_S)


# --- Redis by its own means


async def test_in_redis_it_is_the_key_of_the_guide(redis):
    await trio.to_thread.run_sync(redis.flushall)
    async with opened_redis(redis.url()) as it:
        election = RedisElection(it.redis)
        await election.acquire(ROLE, "titan-1/abc", 30.0)
        assert redis.cli("GET", "leader:cleanup-worker") == "titan-1/abc"
        assert 29_000 < int(redis.cli("PTTL", "leader:cleanup-worker")) <= 30_000
        await election.ask(ROLE)
        assert redis.cli("GET", "leader:cleanup-worker").startswith("titan-1/abc ")
        assert 29_000 < int(redis.cli("PTTL", "leader:cleanup-worker")) <= 30_000


async def test_a_key_that_somebody_set_by_hand_holds_until_it_is_deleted(redis):
    await trio.to_thread.run_sync(redis.flushall)
    async with opened_redis(redis.url()) as it:
        election = RedisElection(it.redis)
        redis.cli("SET", "leader:cleanup-worker", "paused by ann")
        assert await election.look(ROLE) == Held("paused by ann", math.inf, is_asked_for=False)
        assert not await election.acquire(ROLE, "one", LONG_S)
        redis.cli("DEL", "leader:cleanup-worker")
        assert await election.acquire(ROLE, "one", LONG_S)


async def test_what_redis_refuses_is_told_as_away(redis):
    await trio.to_thread.run_sync(redis.flushall)
    async with opened_redis(redis.url()) as it:
        redis.cli("LPUSH", "leader:cleanup-worker", "not a string")
        with pytest.raises(ElectionAway, match="WRONGTYPE"):
            await RedisElection(it.redis).look(ROLE)


async def test_redis_that_is_gone_is_told_as_away():
    with running_redis() as server:
        async with opened_redis(server.url()) as it:
            await trio.to_thread.run_sync(server.kill)
            with pytest.raises(ElectionAway):
                await RedisElection(it.redis).acquire(ROLE, "one", LONG_S)
