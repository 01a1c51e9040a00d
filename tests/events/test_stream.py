"""A stream misses nothing and repeats no more than it must, whatever happens to its place, its store, its client."""

import json

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.event_desk import desk, end_of, numbers
from titan.events.filters import Filter
from titan.events.hub import MAX_BACKLOG_BYTES, MAX_PENDING
from titan.events.stream import OLDEST, End, EndReason, News
from titan.store.contract import Kind, StoreUnavailable

LONG = "urn:" + 2000 * "x"
"""Makes an event so large that few are enough to fill what may wait."""


async def test_from_now_on_means_from_what_is_handed_out_next():
    async with desk() as it:
        it.outbox.write("before")
        await it.poll()
        stream = await it.open()
        assert it.outbox.write("after") == 2
        await it.poll()
        assert await numbers(stream, 1) == [2]
        stream.close()


async def test_behind_a_cursor_everything_is_told_and_then_goes_on_live():
    async with desk() as it:
        start = it.hub.cursor
        for number in range(500):
            it.outbox.write(f"doc{number % 7}")
        await it.poll()
        stream = await it.open(start)
        assert await numbers(stream, 500) == list(range(1, 501))
        it.outbox.write("live")
        await it.poll()
        assert await numbers(stream, 1) == [501]
        stream.close()


async def test_what_was_read_and_waits_as_well_is_told_once():
    async with desk() as it:
        start = it.hub.cursor
        it.outbox.write("read")
        stream = await it.open(start)  # reads the change, which the feed has not polled yet
        it.outbox.write("live")
        await it.poll()
        assert await numbers(stream, 2) == [1, 2]
        it.outbox.write("more")
        await it.poll()
        assert await numbers(stream, 1) == [3]
        stream.close()


async def test_whoever_asks_because_something_waits_does_not_wait_for_more_where_it_was_told_before():
    async with desk() as it:
        it.outbox.write("both")
        stream = await it.open(OLDEST)  # reads it; what the hub hands out meanwhile waits
        await it.poll()
        assert await numbers(stream, 1) == [1]
        assert [stream.is_idle] == [False]
        with trio.fail_after(1):
            assert await stream.next() == News([], it.hub.cursor or "")
        assert [stream.is_idle] == [True]
        stream.close()


async def test_a_transaction_that_ends_late_is_told_late_and_not_passed_over():
    async with desk() as it:
        late = it.outbox.begin("late")
        stream = await it.open()
        assert it.outbox.write("soon") == 2
        await it.poll()
        assert await numbers(stream, 1) == [2]
        cursor = stream.cursor
        it.outbox.commit(late)
        await it.poll()
        assert await numbers(stream, 1) == [late]
        again = await it.open(cursor)
        assert await numbers(again, 1) == [late]
        stream.close()
        again.close()


async def test_the_cursor_of_every_single_event_is_one_to_go_on_from():
    async with desk() as it:
        late = it.outbox.begin("a")
        for number in range(6):
            it.outbox.write(f"doc{number}")
        stream = await it.open(OLDEST)
        await it.poll()
        told = await stream.next()
        assert isinstance(told, News)
        it.outbox.commit(late)
        assert [event.change.revision for event in told.events] == [2, 3, 4, 5, 6, 7]
        for place, event in enumerate(told.events):
            again = await it.open(event.cursor)
            assert await numbers(again, 6 - place) == sorted([late, *range(3 + place, 8)])
            again.close()
        stream.close()


async def test_a_feed_that_begins_anew_is_no_gap():
    async with desk() as it:
        stream = await it.open()
        it.outbox.write("told")
        await it.poll()
        it.outbox.write("lost on the feed's way")
        await it.begin()
        it.outbox.write("after")
        await it.poll()
        assert await numbers(stream, 3) == [1, 2, 3]
        stream.close()


async def test_more_than_an_instance_keeps_at_hand_is_read_by_each_stream_for_itself():
    async with desk() as it:
        stream = await it.open()
        for number in range(MAX_PENDING + 1):
            it.outbox.write(f"doc{number % 3}")
        await it.poll(limit=MAX_PENDING + 1)
        assert it.outbox.reads == 2  # the beginning and the poll: the hub has read no content of these
        assert await numbers(stream, MAX_PENDING + 1) == list(range(1, MAX_PENDING + 2))
        stream.close()


async def test_a_client_that_takes_nothing_is_cut_at_the_limit_and_holds_up_nobody():
    async with desk() as it:
        slow, quick = await it.open(), await it.open()
        count = 0
        while it.hub.is_open and not slow_is_cut(it):
            for number in range(50):
                it.outbox.write(f"{LONG}{number}")
            await it.poll()
            count += 50
            assert len(await numbers(quick, 50)) == 50
            assert count * len(LONG) < 2 * MAX_BACKLOG_BYTES, "nobody was cut"
        end = await end_of(slow)
        assert end.reason is EndReason.SLOW
        assert it.streams.dropped == 1
        back = await it.open(end.cursor)
        assert await numbers(back, count) == list(range(1, count + 1))
        for stream in (slow, quick, back):
            stream.close()


def slow_is_cut(it) -> bool:
    return any(place.is_too_slow for place in it.hub._places)


async def test_a_slow_client_that_is_still_catching_up_is_not_cut_for_what_is_new():
    async with desk() as it:
        start = it.hub.cursor
        for number in range(300):
            it.outbox.write(f"old{number}")
        await it.poll()
        stream = await it.open(start)
        told = await numbers(stream, 1)
        written = 300
        while (written - 300) * len(LONG) < 3 * MAX_BACKLOG_BYTES:
            for number in range(100):
                it.outbox.write(f"{LONG}{number}")
            await it.poll()
            written += 100
        told += await numbers(stream, written - len(told))
        assert told == list(range(1, written + 1))
        assert it.streams.dropped == 0
        stream.close()


async def test_silence_is_broken_every_15_s_and_the_cursor_moves_past_what_was_not_wanted(autojump_clock):
    async with desk() as it:
        stream = await it.open(chosen=Filter(ids=frozenset({"wanted"})))
        before = stream.cursor
        it.outbox.write("not wanted")
        await it.poll()
        began = trio.current_time()
        told = await stream.next()
        assert trio.current_time() - began == pytest.approx(15)
        assert isinstance(told, News)
        assert told.events == []
        assert told.cursor != before
        assert told.cursor == it.hub.cursor
        stream.close()


async def test_a_store_that_is_away_while_a_stream_reads_is_waited_for(autojump_clock):
    async with desk() as it:
        start = it.hub.cursor
        for number in range(300):
            it.outbox.write(f"doc{number}")
        stream = await it.open(start)
        told = await numbers(stream, 200)
        it.outbox.away = "restarting"
        while (silent := await stream.next()) and isinstance(silent, News) and silent.events:
            told += [event.change.revision for event in silent.events]
        assert isinstance(silent, News)
        it.outbox.away = ""
        told += await numbers(stream, 300 - len(told))
        assert told == list(range(1, 301))
        stream.close()


async def test_a_store_that_is_away_at_the_beginning_is_said():
    async with desk() as it:
        cursor = it.hub.cursor
        it.outbox.away = "restarting"
        with pytest.raises(StoreUnavailable):
            await it.streams.open(lambda _: True, cursor)
        assert it.streams.clients == 0
        (await it.open()).close()  # from now on needs no store


async def test_a_cursor_whose_events_are_gone_is_refused_at_the_beginning_and_ends_a_stream_later():
    async with desk() as it:
        start = it.hub.cursor
        stream = await it.open()
        it.outbox.write("a")
        it.outbox.trim()
        assert (await it.refused(start)).status == 410
        assert (await it.refused("nonsense")).status == 410
        await it.begin()  # the stream has to read what it was not handed, and cannot
        assert (await end_of(stream)).reason is EndReason.GONE
        stream.close()
        assert it.streams.clients == 0


async def test_streams_end_with_the_hub_and_say_where_they_were():
    async with trio.open_nursery() as nursery:
        ends: list[End] = []

        async def follow(stream):
            ends.append(await end_of(stream))

        async with desk() as it:
            it.outbox.write("a")
            await it.poll()
            cursor = it.feed_cursor
            nursery.start_soon(follow, await it.open())
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert ends == [End(EndReason.LEAVING, cursor)]
        assert (await it.refused()).status == 503


async def test_no_more_streams_than_allowed():
    async with desk(max_clients=2) as it:
        one, two = await it.open(), await it.open()
        assert (await it.refused()).status == 503
        one.close()
        one.close()
        three = await it.open()
        assert it.streams.clients == 2
        two.close()
        three.close()


async def test_the_newest_change_of_a_document_carries_its_content_and_others_do_not():
    async with desk() as it:
        stream = await it.open()
        it.outbox.write("doc")
        it.outbox.write("doc")
        await it.poll()
        told = await stream.next()
        assert isinstance(told, News)
        events = [json.loads(event.json) for event in told.events]
        assert "data" not in events[0]
        assert events[1]["data"] == {"id": "doc", "revision": 2}
        assert it.outbox.reads == 3  # one beginning, one poll, one document
        stream.close()


async def test_content_that_is_too_large_or_cannot_be_read_holds_no_event_back():
    async with desk(max_bytes=10) as it:
        stream = await it.open()
        it.outbox.write("doc")
        await it.poll()
        assert await numbers(stream, 1) == [1]
        stream.close()


async def test_filters_narrow():
    async with desk() as it:
        chosen = Filter(types=frozenset({"io.titan-aas.shell.updated"}), ids=frozenset({"a", "b"}))
        stream = await it.open(chosen=chosen)
        paths = await it.open(chosen=Filter(id_short_paths=frozenset({"Motor.Speed"})))
        it.outbox.write("a", Kind.SUBMODEL)
        it.outbox.write("a", Kind.SHELL)
        it.outbox.write("c", Kind.SHELL)
        it.outbox.write("b", Kind.SHELL)
        await it.poll()
        assert await numbers(stream, 2) == [2, 4]
        assert await numbers(paths, 1) == [1]
        stream.close()
        paths.close()
