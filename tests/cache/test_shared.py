"""The shared cache on a real Redis: the newer entry stays, whatever comes when, and what is no entry is a miss."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from supervisors.actors.cache import CacheActor
from tests.support.redis import RedisServer, running_redis
from tests.support.redis_client import opened_redis
from tests.support.waiting import until
from titan.cache.shared import CHANNEL, LARGEST_BYTES, Entry, Place, Shared, _decoded, _encoded
from titan.redis.contract import RedisAway
from titan.store.contract import Stored

PLACE = Place("h", b"k" * 16, with_blobs=False)
ONE = "urn:test:one"


def entry(revision: int = 1, shown: int = 10, body: bytes = b"{}") -> Entry:
    return Entry(Stored(ONE, revision, 1_700_000_000_000, body, mark=shown + 1), shown)


@pytest.fixture(scope="module")
def server():
    with running_redis() as running:
        yield running


@pytest.fixture
async def shared(server: RedisServer):
    server.flushall()
    async with opened_redis(server.url()) as it:
        yield Shared(it.redis, ttl_s=100)


async def test_what_was_stored_is_found(shared):
    await shared.wrote(PLACE, entry(body=b"\x00\n{}"))
    assert await shared.get(PLACE, ONE) == entry(body=b"\x00\n{}")
    assert await shared.get(Place("other", PLACE.key, with_blobs=False), ONE) is None
    assert await shared.get(Place("h", PLACE.key, with_blobs=True), ONE) is None
    assert await shared.get(PLACE, "urn:test:another") is None


async def test_a_fill_is_stored_unless_there_is_a_newer_one(shared):
    await shared.wrote(PLACE, entry(revision=5))
    shared.offer(PLACE, entry(revision=4))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.fill)
        shared.offer(PLACE, entry(revision=6))

        with trio.fail_after(5):
            while await shared.get(PLACE, ONE) != entry(revision=6):  # noqa: ASYNC110  (Redis has no event for it)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_the_same_revision_read_later_is_good_for_longer(shared):
    await shared.wrote(PLACE, entry(shown=10))
    await shared.wrote(PLACE, entry(shown=20))
    await shared.wrote(PLACE, entry(shown=15))
    assert (await shared.get(PLACE, ONE)) == entry(shown=20)


async def test_a_deletion_keeps_what_was_read_before_it_away(shared):
    await shared.wrote(PLACE, entry(revision=1))
    await shared.deleted(PLACE, ONE, 2, 20)
    await shared.wrote(PLACE, entry(revision=1, shown=30))
    assert await shared.get(PLACE, ONE) is None
    await shared.wrote(PLACE, entry(revision=3, shown=30))
    assert await shared.get(PLACE, ONE) == entry(revision=3, shown=30)


async def test_every_key_ends_by_itself(server, shared):
    await shared.wrote(PLACE, entry())
    assert 0 < int(server.cli("TTL", PLACE.name)) <= 100
    await shared.deleted(PLACE, ONE, 2, 20)
    assert 0 < int(server.cli("TTL", PLACE.name)) <= 300
    assert server.cli("KEYS", "*") == PLACE.name


@pytest.mark.parametrize(
    "command", [("LPUSH", "{}", "x"), ("SET", "{}", "garbage"), ("SET", "{}", ""), ("HSET", "{}", "a", "b")]
)
async def test_what_somebody_else_put_under_our_key_is_a_miss_and_is_overwritten(server, shared, command):
    server.cli(*[word.format(PLACE.name) for word in command])
    assert await shared.get(PLACE, ONE) is None
    await shared.wrote(PLACE, entry())
    assert await shared.get(PLACE, ONE) == entry()


async def test_without_memory_left_it_is_a_miss(server, shared):
    server.cli("CONFIG", "SET", "maxmemory", "1")
    try:
        await shared.wrote(PLACE, entry())
        assert await shared.get(PLACE, ONE) is None
    finally:
        server.cli("CONFIG", "SET", "maxmemory", "0")


async def test_large_documents_are_not_stored_and_what_was_there_goes(shared):
    await shared.wrote(PLACE, entry(revision=1))
    await shared.wrote(PLACE, entry(revision=2, body=b"x" * (LARGEST_BYTES + 1)))
    assert await shared.get(PLACE, ONE) is None


async def test_while_redis_is_away_nothing_is_waited_for_or_kept():
    with running_redis() as server:
        async with opened_redis(server.url()) as it:
            shared = Shared(it.redis, ttl_s=100)
            server.kill()
            await until(lambda: shared.is_away, what="the loss is noticed")
            with trio.fail_after(0.1):
                await shared.wrote(PLACE, entry())
                await shared.deleted(PLACE, ONE, 2, 20)
                shared.offer(PLACE, entry())
                with pytest.raises(RedisAway):
                    await shared.get(PLACE, ONE)
            assert shared._waiting.statistics().current_buffer_used == 0


async def test_a_full_queue_drops_instead_of_waiting(shared):
    for number in range(1000):
        shared.offer(PLACE, entry(revision=number + 1))
    assert shared.dropped > 0


async def test_who_listens_hears_of_writes_and_deletions_also_after_an_outage(server):
    heard: list[int] = []
    async with opened_redis(server.url()) as it, trio.open_nursery() as nursery:
        shared = Shared(it.redis, ttl_s=100)
        nursery.start_soon(shared.listen, lambda: heard.append(1))

        async def hears(tell) -> None:
            before = len(heard)
            with trio.fail_after(10):
                while len(heard) == before:
                    await tell()
                    await trio.sleep(0.02)

        await hears(lambda: shared.wrote(PLACE, entry()))
        await hears(lambda: shared.deleted(PLACE, ONE, 2, 20))
        await trio.to_thread.run_sync(server.restart)
        await hears(lambda: shared.wrote(PLACE, entry(revision=3)))
        nursery.cancel_scope.cancel()


async def test_a_user_that_may_not_listen_loses_nothing_else(server):
    server.cli("ACL", "SETUSER", "deaf", "on", ">secret", "~titan:*", "+@all", "resetchannels")
    async with opened_redis(server.url(login="deaf:secret")) as it, trio.open_nursery() as nursery:
        shared = Shared(it.redis, ttl_s=100)
        nursery.start_soon(shared.listen, lambda: None)
        for _ in range(20):
            await trio.sleep(0.01)
            assert not shared.is_away
        assert isinstance(it.actor, CacheActor)
        nursery.cancel_scope.cancel()
    assert CHANNEL.startswith("titan:")


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(value):
    assert _decoded(value, ONE) is None


@given(st.integers(1, 2**53), st.integers(0, 2**53), st.binary(max_size=50), st.data())
def test_an_entry_that_was_cut_or_lengthened_is_none(revision, shown, body, data):
    whole = _encoded(Entry(Stored(ONE, revision, 5, body, mark=7), shown))
    assert _decoded(whole, ONE) == Entry(Stored(ONE, revision, 5, body, mark=7), shown)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert _decoded(whole[:cut], ONE) is None
    assert _decoded(whole + b"x", ONE) is None
