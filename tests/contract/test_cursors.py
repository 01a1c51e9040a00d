"""What a durable cursor needs is never trimmed, whoever trims and however old it is, until that moves on."""

import pytest
import trio

from tests.support.fenced import fence, trimmed
from tests.support.store_documents import document
from titan.store.contract import Changes, ChangesGone, Deposed, Fence, Store, WriteMode
from titan.store.cursors import CURSOR_KEPT_S
from titan.store.tasks import Expiring

ALL_MS = 1 << 62
ROLE = "event-publisher"


@pytest.fixture
async def term(store: Store) -> Fence:
    return await fence(store, ROLE)


async def write(store: Store, *ids: str) -> None:
    for each in ids:
        await store.write(document(each), WriteMode.PUT)


async def told(store: Store, cursor: str | None) -> list[str]:
    found = await store.changes(after=cursor)
    assert isinstance(found, Changes)
    return [change.id for change in found.items]


async def test_there_are_none_at_first(store):
    assert list(await store.cursors.look()) == []
    assert not await store.cursors.drop("nobody")


async def test_what_is_behind_a_kept_cursor_stays_and_what_is_before_it_goes(store, term):
    await write(store, "a", "b")
    cursor = await store.cursor()
    await write(store, "c", "d")
    assert await store.cursors.keep("mqtt", cursor, fence=term)
    assert await trimmed(store, before_ms=ALL_MS) == 2
    assert await told(store, cursor) == ["c", "d"]
    assert await trimmed(store, before_ms=ALL_MS) == 0


async def test_the_one_that_has_come_least_far_decides(store, term):
    cursors = []
    for each in "abc":
        cursors.append(await store.cursor())
        await write(store, each)
    assert await store.cursors.keep("near", cursors[2], fence=term)
    assert await store.cursors.keep("far", cursors[1], fence=term)
    assert await trimmed(store, before_ms=ALL_MS) == 1
    assert await told(store, cursors[1]) == ["b", "c"]
    assert await store.cursors.keep("far", await store.cursor(), fence=term)
    assert await trimmed(store, before_ms=ALL_MS) == 1
    assert await told(store, cursors[2]) == ["c"]


async def test_a_cursor_in_the_middle_of_a_page_keeps_the_rest_of_it(store, term):
    await write(store, "a", "b", "c")
    page = await store.changes(limit=1)
    assert isinstance(page, Changes)
    assert await store.cursors.keep("mqtt", page.cursor, fence=term)
    await trimmed(store, before_ms=ALL_MS)
    assert await told(store, page.cursor) == ["b", "c"]


async def test_a_cursor_is_kept_under_its_name_and_told_with_its_time(store, term):
    first = await store.cursor()
    assert await store.cursors.keep("mqtt", first, fence=term)
    [kept] = await store.cursors.look()
    await write(store, "a")
    second = await store.cursor()
    assert await store.cursors.keep("mqtt", second, fence=term)
    assert await store.cursors.keep("a'; DROP TABLE cursor; --", first, fence=term)
    [other, moved] = await store.cursors.look()
    assert (kept.name, kept.cursor) == ("mqtt", first)
    assert (moved.name, moved.cursor) == ("mqtt", second)
    assert (other.name, other.cursor) == ("a'; DROP TABLE cursor; --", first)
    assert moved.kept_ms >= kept.kept_ms > 1_700_000_000_000


async def test_a_cursor_that_is_dropped_keeps_nothing(store, term):
    cursor = await store.cursor()
    await write(store, "a")
    assert await store.cursors.keep("mqtt", cursor, fence=term)
    assert await trimmed(store, before_ms=ALL_MS) == 0
    assert await store.cursors.drop("mqtt")
    assert await trimmed(store, before_ms=ALL_MS) == 1
    assert await store.changes(after=cursor) == ChangesGone()


async def test_a_cursor_that_comes_too_late_is_refused_and_the_one_before_stays(store, term):
    gone = await store.cursor()
    await write(store, "a")
    await trimmed(store, before_ms=ALL_MS)
    here = await store.cursor()
    assert await store.cursors.keep("mqtt", here, fence=term)
    assert not await store.cursors.keep("mqtt", gone, fence=term)
    assert [kept.cursor for kept in await store.cursors.look()] == [here]


@pytest.mark.parametrize("cursor", ["", "x", "0" * 32 + ".1", "AAAAAAAAAAADAAA", "\u00e9", "9" * 300])
async def test_what_is_no_cursor_of_this_store_is_refused(store, term, cursor):
    assert not await store.cursors.keep("mqtt", cursor, fence=term)
    assert list(await store.cursors.look()) == []


async def test_a_deposed_leader_keeps_nothing(store, term):
    await fence(store, ROLE)
    with pytest.raises(Deposed):
        await store.cursors.keep("mqtt", await store.cursor(), fence=term)
    assert list(await store.cursors.look()) == []


async def test_a_cursor_that_nobody_keeps_anew_is_forgotten_after_a_week(store, backend, term):
    for name in ("left behind", "alive"):
        assert await store.cursors.keep(name, await store.cursor(), fence=term)
    await backend.age_cursors(CURSOR_KEPT_S - 60)
    cleaner = await fence(store)
    assert await store.tasks.expire(Expiring.EVENT_CURSOR, fence=cleaner) == 0
    assert await store.cursors.keep("alive", await store.cursor(), fence=term)
    await backend.age_cursors(61)
    assert await store.tasks.expire(Expiring.EVENT_CURSOR, fence=cleaner) == 1
    assert [kept.name for kept in await store.cursors.look()] == ["alive"]


async def test_who_follows_misses_nothing_while_everything_is_trimmed_all_the_time(backend):
    """Writers on two instances, one that follows by its durable cursor alone, trims without pause and without age."""
    writers, each_writes = 3, 40
    seen: list[str] = []
    trims = [0]
    async with backend.open() as one, backend.open() as two:
        term = await fence(one, ROLE)
        assert await one.cursors.keep("mqtt", await one.cursor(), fence=term)

        async def write_on(store: Store, name: str) -> None:
            for number in range(each_writes):
                await write(store, f"{name}.{number}")

        async def trim_on() -> None:
            while True:
                trims[0] += await trimmed(two, before_ms=ALL_MS)
                await trio.lowlevel.checkpoint()

        async def follow() -> None:
            while len(seen) < writers * each_writes:
                [kept] = await one.cursors.look()
                found = await one.changes(after=kept.cursor, limit=7)
                assert isinstance(found, Changes), "what it needs was trimmed"
                seen.extend(change.id for change in found.items)
                assert await one.cursors.keep("mqtt", found.cursor, fence=term)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trim_on)
                for number in range(writers):
                    nursery.start_soon(write_on, (one, two)[number % 2], str(number))
                await follow()
                nursery.cancel_scope.cancel()
    assert len(seen) == len(set(seen)) == writers * each_writes
    assert trims[0] > 0, "it was trimmed in between"


async def test_of_a_keep_and_a_trim_at_one_time_the_keep_holds_or_is_refused(backend):
    """A new cursor of the past races with the trim that would take what is behind it; each wins some of the rounds."""
    async with backend.open() as one, backend.open() as two:
        term = await fence(one, ROLE)
        for number in range(25):
            cursor = await one.cursor()
            await write(one, str(number))
            kept: list[bool] = []

            async def keep(cursor: str, kept: list[bool], pause_s: float) -> None:
                await trio.sleep(pause_s)
                kept.append(await one.cursors.keep("late", cursor, fence=term))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep, cursor, kept, number % 5 * 0.002)
                await trimmed(two, before_ms=ALL_MS)
            if kept == [True]:
                assert await told(one, cursor) == [str(number)]
            else:
                assert await one.changes(after=cursor) == ChangesGone()
            await one.cursors.drop("late")
            await trimmed(two, before_ms=ALL_MS)
