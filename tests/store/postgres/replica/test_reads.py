"""Reads on a real streaming standby: what the primary has, never older than it may be."""

import trio

from tests.support.replicas import NEVER, ONE, find, in_thread, page, paused, put, reading, revision, seen
from tests.support.store_documents import document, submodel
from tests.support.waiting import until
from titan.store.contract import Created, Field, Found, Kind, Page, Replaced, Term, WriteMode
from titan.telemetry.health import Status


async def test_it_finds_what_the_primary_has_once_it_shows_it(primary, standby, name):
    async with reading(primary, standby, name) as it:
        wrote = await it.store.write(document(ONE, text="a"), WriteMode.CREATE)
        assert isinstance(wrote, Created)
        found = await seen(it, wrote.mark)
        assert found == await it.store.find(Kind.SHELL, ONE)
        assert found.stored is not None
        assert found.stored.mark == wrote.mark


async def test_absence_is_shown_as_well(primary, standby, name):
    async with reading(primary, standby, name) as it:
        await it.store.write(document(ONE), WriteMode.CREATE)
        deleted = await it.store.delete(Kind.SHELL, ONE)
        found = await seen(it, deleted.mark)
        assert found.stored is None
        assert found.mark >= deleted.mark
        assert await find(it, "x" * 3000) == Found(None, 0)


async def test_pages_are_the_primarys(primary, standby, name):
    async with reading(primary, standby, name) as it:
        for number in range(7):
            terms = ((Field.ID_SHORT, "even"), (Field.ASSET_ID, "a")) if number % 2 == 0 else ()
            wrote = await it.store.write(document(f"urn:{number}", terms=terms), WriteMode.CREATE)
        await seen(it, wrote.mark)
        both = (Term(Field.ID_SHORT, "even"), Term(Field.ASSET_ID, "a"))
        for options in ({}, {"limit": 3}, {"limit": 3, "after": 4}, {"terms": both}, {"terms": both, "limit": 1}):
            expected = await it.store.page(Kind.SHELL, **options)
            assert await page(it, wrote.mark, **options) == expected
        assert await page(it, after=NEVER * 4) == Page((), None)


async def test_elements_come_with_and_without_blobs(primary, standby, name):
    async with reading(primary, standby, name) as it:
        wrote = await it.store.write(submodel("urn:s", ("a", "1"), blob="AAAA"), WriteMode.CREATE)
        await seen(it, wrote.mark)
        for with_blobs in (False, True):
            found = await it.replica.find(Kind.SUBMODEL, "urn:s", with_blobs=with_blobs, mark=wrote.mark)
            assert found == await it.store.find(Kind.SUBMODEL, "urn:s", with_blobs=with_blobs)


async def test_a_mark_that_is_not_shown_is_the_primarys_business(primary, standby, name):
    async with reading(primary, standby, name) as it:
        await it.store.write(document(ONE), WriteMode.CREATE)
        assert await find(it, ONE, NEVER) is None
        assert await page(it, NEVER) is None
        assert it.replica_check.result.status is Status.UP


async def test_a_transaction_that_is_still_open_hides_later_marks_but_not_from_a_document_of_that_mark(
    primary, standby, name
):
    """The first open number is all that a standby's snapshot tells; a document knows its own."""
    async with reading(primary, standby, name) as it:
        long = "BEGIN; SELECT pg_current_xact_id(); " + "".join(f"SAVEPOINT s{n};" for n in range(100))
        with primary.session(long, name):
            wrote = await it.store.write(document(ONE), WriteMode.CREATE)
            assert (await seen(it, wrote.mark)).stored is not None
            assert await page(it, wrote.mark) is None
            assert await find(it, "urn:test:other", wrote.mark) is None
            listed = await page(it)
            assert listed is not None
            assert len(listed.items) == 1
        with trio.fail_after(10):
            while await page(it, wrote.mark) is None:  # noqa: ASYNC110  (another process gets there)
                await trio.sleep(0.01)


async def test_with_many_writers_whoever_reads_after_a_write_sees_it_or_is_sent_to_the_primary(primary, standby, name):
    answered, refused = 0, 0

    async def session(number: int) -> None:
        nonlocal answered, refused
        mine = f"urn:test:{number}"
        for round_ in range(40):
            wrote = await it.store.write(document(mine, text=str(round_)), WriteMode.PUT)
            assert isinstance(wrote, Created | Replaced)
            found = await find(it, mine, wrote.mark)
            listed = await page(it, wrote.mark)
            if found is not None:
                assert found.stored is not None
                assert found.stored.revision >= wrote.revision
            if listed is not None:
                [here] = [item for item in listed.items if item.id == mine]
                assert here.revision >= wrote.revision
            answered += (found is not None) + (listed is not None)
            refused += (found is None) + (listed is None)

    async with reading(primary, standby, name) as it, trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(session, number)
    assert answered > 0
    assert answered + refused == 6 * 40 * 2


async def test_paused_it_answers_nobody_after_a_second_and_is_degraded_within_two_of_its_bound(primary, standby, name):
    async with reading(primary, standby, name, max_lag_s=2.0) as it:
        first = await put(it, "a")
        await seen(it, first.mark)
        await paused(standby)
        begun = trio.current_time()
        second = await put(it, "b")
        acknowledged = trio.current_time()
        assert await find(it, ONE, second.mark) is None
        stale = 0
        while it.replica_check.result.status is not Status.DEGRADED:
            asked = trio.current_time()
            if revision(await find(it)) == first.revision:
                stale += 1
                assert asked - acknowledged <= 1.0
            assert asked - begun <= 4.0
            await trio.sleep(0.005)
        assert stale > 0  # a second is allowed, so the replica is of use until then
        assert trio.current_time() - begun > 2.0
        assert "more than 2 s behind" in it.replica_check.result.detail
        assert it.replica_check.result.is_away
        assert (it.replica.lag.behind_s or 0) > 2.0
        assert it.check.result.status is Status.UP
        assert await find(it) is None
        assert await page(it) is None
        await in_thread(standby.psql, "SELECT pg_wal_replay_resume()")
        await until(lambda: it.replica_check.result.status is Status.UP, within_s=3)
        assert revision(await seen(it, second.mark)) == second.revision
        await until(lambda: it.replica.lag.behind_s == 0)


async def test_on_an_idle_primary_it_is_not_behind(primary, standby, name):
    """Also after a log file was switched, and beside a transaction that wrote and waits."""
    async with reading(primary, standby, name) as it:
        await in_thread(primary.psql, "SELECT pg_switch_wal()")
        with primary.session("BEGIN; INSERT INTO titan_meta VALUES ('test', '')", name):
            await trio.sleep(1.2)
            await until(lambda: it.replica.lag.behind_s == 0 and it.replica.is_near)
            assert await find(it) is not None
