"""The feed of changes on a real server: late transactions, long foreign ones, very many, and other histories."""

import os
import signal
from base64 import urlsafe_b64encode
from contextlib import ExitStack

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fenced import fence, trimmed
from tests.support.postgres import running_server
from tests.support.postgres_programs import run
from tests.support.postgres_store import PATIENT, Opened, fresh_database, opened
from tests.support.store_documents import document
from tests.support.waiting import wait_until
from titan.store.contract import Changes, ChangesGone, WriteMode
from titan.store.postgres.snapshots import Cursor, Snapshot
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync

BY_HAND = """
BEGIN;
INSERT INTO titan_outbox (revision, modified_ms, kind, type, id)
VALUES (nextval('titan_revision'), 0, 1, 1, 'by hand')
"""


class Follower:
    """Follows the cursors and keeps what it was told."""

    def __init__(self, it: Opened, cursor: str | None = None) -> None:
        self.told: list[str] = []
        self.cursor = cursor
        self._it = it

    async def poll(self, limit: int = 1000) -> list[str]:
        """Return the ids of what is new."""
        some = await self._it.store.changes(after=self.cursor, limit=limit)
        assert isinstance(some, Changes)
        self.cursor = some.cursor
        self.told += [item.id for item in some.items]
        return [item.id for item in some.items]


async def test_what_is_committed_late_is_told_late_and_not_passed_over(postgres, database, it):
    follower = Follower(it)
    with ExitStack() as stack:
        await in_thread(stack.enter_context, postgres.session(BY_HAND, database))
        await it.store.write(document("later number, earlier end"), WriteMode.CREATE)
        assert await follower.poll() == ["later number, earlier end"]
        assert await follower.poll() == []
    late = BY_HAND + "; COMMIT"
    await in_thread(postgres.psql, late, database)
    assert await follower.poll() == ["by hand"]
    assert await follower.poll() == []


async def test_a_long_foreign_transaction_delays_and_repeats_nothing(postgres, database, it):
    follower = Follower(it)
    with ExitStack() as stack:
        await in_thread(stack.enter_context, postgres.session("BEGIN; SELECT pg_current_xact_id()", database))
        for number in range(5):
            await it.store.write(document(str(number)), WriteMode.CREATE)
            assert await follower.poll() == [str(number)]
    assert await follower.poll() == []


async def test_with_very_many_transactions_under_way_each_change_is_told_once(postgres, database, it):
    """More than a cursor can list: what does not fit is told when fewer are under way."""
    follower = Follower(it)
    admin = postgres.url(database, user="postgres")
    numbers = "SELECT pg_current_xact_id();\n" * 130  # far apart, which takes more bytes in a cursor
    with ExitStack() as stack:
        for _ in range(36):
            await in_thread(stack.enter_context, postgres.session("BEGIN; SELECT pg_current_xact_id()", database))
            await in_thread(lambda: run("psql", "-Xq", "-d", admin, typed=numbers))
        for number in range(10):
            await it.store.write(document(str(number)), WriteMode.CREATE)
            await follower.poll(limit=2)
            cursor = Cursor.parse(follower.cursor or "")
            assert cursor is not None
            assert 20 < len(cursor.seen.xip) < 36
    for _ in range(20):
        await follower.poll(limit=2)
    assert follower.told == [str(number) for number in range(10)]


async def test_the_first_poll_of_a_long_outbox_goes_in_pages_that_stay_where_they_are(postgres, database, it):
    """Changes that are made while somebody pages through the old ones come after them."""
    for number in range(7):
        await it.store.write(document(str(number)), WriteMode.CREATE)
    follower = Follower(it)
    assert await follower.poll(limit=3) == ["0", "1", "2"]
    await it.store.write(document("0", text="again"), WriteMode.PUT)
    assert await follower.poll(limit=3) == ["3", "4", "5"]
    assert await follower.poll(limit=3) == ["6"]
    assert await follower.poll(limit=3) == ["0"]


async def test_a_cursor_of_before_a_restore_by_dump_is_of_another_history(postgres, database, it):
    await it.store.write(document(), WriteMode.CREATE)
    follower = Follower(it)
    await follower.poll()
    dump = await in_thread(run, "pg_dump", "-d", postgres.url(database, user="postgres"))
    await in_thread(postgres.create_database, "restored")
    await in_thread(lambda: run("psql", "-Xq", "-d", postgres.url("restored", user="postgres"), typed=dump))
    async with opened(postgres.url("restored")) as other:
        assert await other.store.changes(after=follower.cursor) == ChangesGone()
        told = await other.store.changes()
        assert isinstance(told, Changes)
        assert [item.id for item in told.items] == ["urn:test:one"]
    await in_thread(postgres.drop_database, "restored")


async def test_after_a_restore_on_another_server_nothing_old_is_told_late(postgres, database):
    """The other server's transactions have lower numbers, and some day the very numbers of the restored rows."""
    numbers = "SELECT pg_current_xact_id();\n" * 2000
    ahead = postgres.url(database, user="postgres")
    await in_thread(lambda: run("psql", "-Xq", "-d", ahead, typed=numbers))
    async with opened(postgres.url(database)) as it:
        await it.store.write(document("old"), WriteMode.CREATE)
    dump = await in_thread(run, "pg_dump", "-d", ahead)
    with ExitStack() as stack:
        other = await in_thread(stack.enter_context, running_server())
        await in_thread(other.create_database, "restored")
        behind = other.url("restored", user="postgres")
        await in_thread(lambda: run("psql", "-Xq", "-d", behind, typed=dump))
        async with opened(other.url("restored")) as it:
            follower = Follower(it, await it.store.cursor())
            assert await Follower(it).poll() == ["old"]
            await it.store.write(document("new"), WriteMode.CREATE)
            assert await follower.poll() == ["new"]
            await in_thread(lambda: run("psql", "-Xq", "-d", behind, typed=2 * numbers))
            assert await follower.poll() == []
            assert await Follower(it).poll() == ["old", "new"]


async def test_a_cursor_of_before_a_promotion_is_of_another_history():
    """The standby may lack what the cursor has seen: the timeline says that it may."""
    with ExitStack() as stack:
        primary = await in_thread(stack.enter_context, running_server())
        with fresh_database(primary) as name:
            async with opened(primary.url(name)) as it:
                await it.store.write(document(), WriteMode.CREATE)
                follower = Follower(it)
                await follower.poll()
            standby = await in_thread(lambda: primary.standby(synchronous=False))
            stack.callback(standby.remove)
            await in_thread(standby.promote)
            async with opened(standby.url(name)) as it:
                assert await it.store.changes(after=follower.cursor) == ChangesGone()


async def test_numbers_that_a_crash_gave_to_others_are_told():
    """What came to nothing and was not on disk yet when the server died has its numbers from nobody afterwards."""
    with ExitStack() as stack:
        server = await in_thread(stack.enter_context, running_server())
        with fresh_database(server) as name:
            async with opened(server.url(name)) as it:
                await it.store.write(document("before"), WriteMode.CREATE)
                follower = Follower(it)
                log_writer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
                os.kill(int(await in_thread(server.psql, log_writer)), signal.SIGSTOP)
                for _ in range(3):
                    await in_thread(server.psql, "BEGIN; SELECT pg_current_xact_id(); ROLLBACK", name)
                before = await it.store.changes()
                assert isinstance(before, Changes)
                follower.cursor = before.cursor
                await in_thread(server.kill)
                await it.wait(Status.DOWN)
                await in_thread(server.start)
                await it.wait(Status.UP)
                outcome = await it.store.write(document("after"), WriteMode.CREATE)
                assert outcome.mark == before.shows + 1  # else the numbers were not given again, and nothing is shown
                for number in range(3):  # else they are fewer than were seen, which is noticed
                    await it.store.write(document(f"after {number}"), WriteMode.CREATE)
                assert await follower.poll() == ["after", "after 0", "after 1", "after 2"]


async def test_a_cursor_of_the_future_is_of_another_history(it):
    cursor = Cursor.parse(await it.store.cursor())
    assert cursor is not None
    ahead = Cursor(cursor.identity, Snapshot(cursor.seen.xmin + 1000, cursor.seen.xmax + 1000))
    assert await it.store.changes(after=str(ahead)) == ChangesGone()


async def test_no_cursor_that_a_client_makes_up_brings_the_server_to_an_error(url):
    """With the right identity, so that all else of it reaches the statement."""
    numbers = st.integers(0, (1 << 63) - 1) | st.integers(0, 50)

    async with opened(url, limits=PATIENT) as it:
        own = Cursor.parse(await it.store.cursor())
        assert own is not None
        identity = own.identity
        token = trio.lowlevel.current_trio_token()

        @settings(max_examples=150, deadline=None)
        @given(st.lists(numbers, min_size=3, max_size=12))
        def made_up(values: list[int]) -> None:
            packed = identity + b"".join(map(varint, values))
            text = urlsafe_b64encode(packed).decode().rstrip("=")
            told = trio.from_thread.run(lambda: it.store.changes(after=text, limit=5), trio_token=token)
            assert isinstance(told, Changes | ChangesGone)

        await in_thread(made_up)


def varint(number: int) -> bytes:
    packed = bytearray()
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*packed, number])


@pytest.mark.parametrize("before_ms", [0, -1, 2**62])
async def test_trimming_an_empty_outbox(it, before_ms):
    assert await trimmed(it.store, before_ms=before_ms) == 0


async def test_a_durable_cursor_of_another_history_holds_up_no_trim_and_cannot_be_kept_anew(postgres, database, it):
    """A dump takes the cursors along, but to the numbers of another server they say nothing."""
    term = await fence(it.store, "event-publisher")
    cursor = await it.store.cursor()
    await it.store.write(document(), WriteMode.CREATE)
    assert await it.store.cursors.keep("mqtt", cursor, fence=term)
    dump = await in_thread(run, "pg_dump", "-d", postgres.url(database, user="postgres"))
    await in_thread(postgres.create_database, "restored_with_a_cursor")
    restored = postgres.url("restored_with_a_cursor", user="postgres")
    await in_thread(lambda: run("psql", "-Xq", "-d", restored, typed=dump))
    assert await trimmed(it.store, before_ms=2**62) == 0
    async with opened(postgres.url("restored_with_a_cursor")) as other:
        assert [kept.cursor for kept in await other.store.cursors.look()] == [cursor]
        assert not await other.store.cursors.keep("mqtt", cursor, fence=term)
        assert await trimmed(other.store, before_ms=2**62) == 1


async def test_a_change_of_a_transaction_that_ends_late_is_kept_for_a_cursor_that_did_not_see_it(
    postgres, database, it
):
    """The cursor is behind a later number; what it has not seen has a lower one, and an age of years."""
    term = await fence(it.store, "event-publisher")
    follower = Follower(it)
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_thread, postgres.psql, BY_HAND + "; SELECT pg_sleep(1); COMMIT", database)
        await in_thread(lambda: wait_until(lambda: postgres.psql(sleeping, database) == "1"))
        await it.store.write(document("later number, earlier end"), WriteMode.CREATE)
        assert await follower.poll() == ["later number, earlier end"]
        assert await it.store.cursors.keep("mqtt", follower.cursor or "", fence=term)
    assert await trimmed(it.store, before_ms=2**62) == 0
    assert await follower.poll() == ["by hand"]
    assert await it.store.cursors.keep("mqtt", follower.cursor or "", fence=term)
    assert await trimmed(it.store, before_ms=2**62) == 2
