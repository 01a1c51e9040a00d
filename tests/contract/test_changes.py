"""The outbox tells every change once, in order, to whoever follows its cursors."""

import time

import trio
import trio.lowlevel

from tests.support.fenced import trimmed
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.contract import Changes, ChangesGone, ChangeType, Kind, WriteMode


async def test_every_kind_of_change_is_told_with_its_revision(store):
    created = await store.write(document("a"), WriteMode.CREATE)
    updated = await store.write(document("a", text="x"), WriteMode.PUT)
    deleted = await store.delete(Kind.SHELL, "a")
    other = await store.write(document("b", kind=Kind.SUBMODEL), WriteMode.PUT)
    told = await store.changes()
    assert isinstance(told, Changes)
    assert [(item.revision, item.kind, item.id, item.type) for item in told.items] == [
        (created.revision, Kind.SHELL, "a", ChangeType.CREATED),
        (updated.revision, Kind.SHELL, "a", ChangeType.UPDATED),
        (deleted.revision, Kind.SHELL, "a", ChangeType.DELETED),
        (other.revision, Kind.SUBMODEL, "b", ChangeType.CREATED),
    ]
    assert told.items[0].modified_ms == created.modified_ms


async def test_what_was_refused_or_replayed_is_not_told(store):
    await store.write(document("a"), WriteMode.CREATE)
    await store.write(document("a"), WriteMode.CREATE)
    await store.write(document("b"), WriteMode.REPLACE)
    await store.delete(Kind.SHELL, "b")
    assert len((await store.changes()).items) == 1


async def test_the_cursor_goes_on_where_it_was(store):
    for number in range(10):
        await store.write(document(str(number)), WriteMode.CREATE)
    told = []
    cursor = None
    while True:
        some = await store.changes(after=cursor, limit=3)
        cursor = some.cursor
        if not some.items:
            break
        assert len(some.items) <= 3
        told += [item.id for item in some.items]
    assert told == [str(number) for number in range(10)]
    assert len(cursor) <= 200
    assert cursor.isascii()
    await store.write(document("later"), WriteMode.CREATE)
    assert [item.id for item in (await store.changes(after=cursor)).items] == ["later"]


async def test_the_cursor_of_now_passes_over_what_was(store):
    await store.write(document("before"), WriteMode.CREATE)
    cursor = await store.cursor()
    assert (await store.changes(after=cursor)).items == ()
    await store.write(document("after"), WriteMode.CREATE)
    assert [item.id for item in (await store.changes(after=cursor)).items] == ["after"]


async def test_the_cursor_of_now_of_an_empty_store(store):
    cursor = await store.cursor()
    await store.write(document("first"), WriteMode.CREATE)
    assert [item.id for item in (await store.changes(after=cursor)).items] == ["first"]


async def test_many_changes_at_once(store):
    async with trio.open_nursery() as nursery:
        for number in range(300):
            nursery.start_soon(store.write, document(str(number)), WriteMode.CREATE)
    told = await store.changes(limit=1000)
    assert {item.id for item in told.items} == {str(number) for number in range(300)}
    assert [item.revision for item in told.items] == sorted({item.revision for item in told.items})


async def test_a_cursor_of_another_history_is_told_so(store):
    for cursor in ("0.1", "", "no cursor at all", f"{'0' * 32}.5", "9" * 200):
        assert await store.changes(after=cursor) == ChangesGone()


async def test_a_cursor_that_was_never_given_out_is_no_cursor(store):
    await store.write(document("a"), WriteMode.CREATE)
    cursor = await store.cursor()
    for forged in (f"{cursor}1", cursor[:-1] + "9" * 18, cursor[:-1] + "9" * 30, f"{cursor}x", f"-{cursor}"):
        assert await store.changes(after=forged) == ChangesGone()


async def test_whoever_follows_while_others_write_misses_nothing(store, backend):
    seen: list[int] = []
    written: list[int] = []
    async with backend.open() as other, trio.open_nursery() as nursery:
        cursor = await store.cursor()

        async def write(instance, worker: int) -> None:
            for number in range(25):
                outcome = await instance.write(document(f"{worker}-{number % 5}", text=str(number)), WriteMode.PUT)
                written.append(outcome.revision)

        for worker in range(6):
            nursery.start_soon(write, (store, other)[worker % 2], worker)
        with trio.fail_after(30):
            while len(seen) < 150:
                told = await store.changes(after=cursor, limit=10)
                assert isinstance(told, Changes)
                seen += [item.revision for item in told.items]
                cursor = told.cursor
                await trio.lowlevel.checkpoint()
    assert len(set(seen)) == len(seen)
    assert sorted(seen) == sorted(written)


async def test_trimming_forgets_the_oldest_and_keeps_the_rest(store):
    first = await store.write(document("old"), WriteMode.CREATE)
    behind_old = (await store.changes()).cursor
    middle_ms = first.modified_ms + 1
    await until(lambda: time.time_ns() // 1_000_000 > middle_ms + 1)
    await store.write(document("new"), WriteMode.CREATE)
    assert await trimmed(store, before_ms=middle_ms) == 1
    assert [item.id for item in (await store.changes()).items] == ["new"]
    assert [item.id for item in (await store.changes(after=behind_old)).items] == ["new"]
    assert await trimmed(store, before_ms=middle_ms) == 0


async def test_a_cursor_of_before_what_was_trimmed_is_told_so(store):
    start = await store.cursor()
    await store.write(document("a"), WriteMode.CREATE)
    await store.write(document("b"), WriteMode.CREATE)
    assert await trimmed(store, before_ms=2**62) == 2
    assert await store.changes(after=start) == ChangesGone()
    told = await store.changes()
    assert told.items == ()
    last = await store.write(document("c"), WriteMode.CREATE)
    assert [item.revision for item in (await store.changes(after=told.cursor)).items] == [last.revision]


async def test_revisions_go_on_after_everything_was_trimmed_and_deleted(store):
    seen = [(await store.write(document("a"), WriteMode.CREATE)).revision]
    for _ in range(3):
        seen.append((await store.delete(Kind.SHELL, "a")).revision)
        await trimmed(store, before_ms=2**62)
        seen.append((await store.write(document("a"), WriteMode.CREATE)).revision)
    assert seen == sorted(set(seen))


async def test_a_long_outbox_is_trimmed_to_the_end(store):
    for start in range(0, 12_000, 2000):
        async with trio.open_nursery() as nursery:
            for number in range(start, start + 2000):
                nursery.start_soon(store.write, document(str(number % 50), text=str(number)), WriteMode.PUT)
    assert await trimmed(store, before_ms=2**62) == 12_000
    assert (await store.changes()).items == ()
