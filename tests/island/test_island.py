"""The island keeps its promises: values, errors, cancellation, deadlines, and the end of its thread."""

import asyncio
import contextlib
import math
import random
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
import trio
import trio.lowlevel

import titan.island
from tests.support.waiting import until
from titan.island import Island, IslandDied, IslandDown, at_end, remaining_s

QUICKLY_S = 2.0  # a bound against hanging, not an expectation


@asynccontextmanager
async def running(island: Island | None = None) -> AsyncIterator[Island]:
    island = island or Island(beat_s=0.01)
    async with trio.open_nursery() as nursery:
        started = trio.Event()
        nursery.start_soon(island.serve, started.set)
        with trio.fail_after(QUICKLY_S):
            await started.wait()
        yield island
        nursery.cancel_scope.cancel()


async def forever() -> None:
    await asyncio.Event().wait()


async def die() -> None:
    """End the loop, as the exceptions do that it neither holds in a task nor hands to its handler."""
    raise SystemExit(3)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "titan-island"]


async def test_a_call_returns_the_value_of_its_coroutine_run_on_the_other_thread():
    async def add(a: int, b: int) -> tuple[int, str]:
        await asyncio.sleep(0)
        return a + b, threading.current_thread().name

    async with running() as island:
        assert await island.run(add, 1, 2) == (3, "titan-island")


async def test_a_call_raises_the_exception_of_its_coroutine():
    async def fail() -> None:
        raise LookupError("not here")

    async with running() as island:
        with pytest.raises(LookupError, match="not here"):
            await island.run(fail)


async def test_a_coroutine_that_was_cancelled_over_there_is_no_cancellation_over_here():
    async def cancel_itself() -> None:
        raise asyncio.CancelledError

    async with running() as island:
        with pytest.raises(IslandDown):
            await island.run(cancel_itself)


async def test_calls_run_side_by_side():
    met = []

    async def meet(barrier: asyncio.Barrier) -> None:
        met.append(await barrier.wait())

    async with running() as island:
        barrier = asyncio.Barrier(50)
        with trio.fail_after(QUICKLY_S):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(island.run, meet, barrier)
    assert sorted(met) == list(range(50))


async def test_a_cancelled_caller_waits_until_its_coroutine_has_really_ended():
    begun, cancelled, may_end, ended = (threading.Event() for _ in range(4))

    async def end_slowly() -> None:
        begun.set()
        try:
            await forever()
        except asyncio.CancelledError:
            cancelled.set()
            while not may_end.is_set():  # noqa: ASYNC110  set by another thread
                await asyncio.sleep(0.001)
            ended.set()
            raise

    async with running() as island, trio.open_nursery() as nursery:
        returned = trio.Event()

        async def caller() -> None:
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_when_running, scope)
                await island.run(end_slowly)
            assert scope.cancelled_caught
            assert ended.is_set()
            returned.set()

        async def cancel_when_running(scope: trio.CancelScope) -> None:
            await until(begun.is_set)
            scope.cancel()
            await until(cancelled.is_set)
            assert not returned.is_set()
            may_end.set()

        await caller()


async def test_a_coroutine_that_is_done_in_spite_of_its_cancellation_returns_its_value():
    async def commit() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        return "committed"

    async with running() as island:
        with trio.move_on_after(0.02) as scope:
            assert await island.run(commit) == "committed"
        assert scope.cancel_called
        assert not scope.cancelled_caught


async def test_a_call_cancelled_before_it_began_never_begins():
    begun = []

    async def begin() -> None:
        begun.append(1)

    async with running() as island:
        with trio.CancelScope() as scope:
            scope.cancel()
            await island.run(begin)
        assert scope.cancelled_caught
        assert begun == []


async def test_a_call_cancelled_on_its_way_ends_whether_it_has_begun_or_not():
    ways = set()

    async def forever_if_begun(begun: list[int]) -> None:
        begun.append(1)
        await forever()

    async def caller(island: Island, scope: trio.CancelScope) -> None:
        begun: list[int] = []
        with scope:
            await island.run(forever_if_begun, begun)
        assert scope.cancelled_caught
        ways.add(bool(begun))

    async with running() as island:
        with trio.fail_after(QUICKLY_S):
            while ways != {True, False}:
                async with trio.open_nursery() as nursery:
                    scope = trio.CancelScope()
                    nursery.start_soon(caller, island, scope)
                    await trio.sleep(random.choice([0, 0, 0.0005]))
                    scope.cancel()


async def test_the_deadline_of_the_caller_is_known_over_there():
    async def left() -> float:
        return remaining_s()

    async with running() as island:
        with trio.fail_after(100):
            assert 99 < await island.run(left) <= 100
        assert await island.run(left) == math.inf


async def test_nothing_of_one_callers_context_reaches_another_call():
    variable: ContextVar[str] = ContextVar("variable", default="clean")

    async def read() -> str:
        return variable.get()

    async with running() as island:
        variable.set("dirty")
        assert await island.run(read) == "clean"


async def test_without_a_thread_a_call_fails_at_once():
    with pytest.raises(IslandDown):
        await Island().run(forever)
    assert Island().statistics.beat_age_s == math.inf


async def test_when_the_thread_dies_every_pending_call_fails_at_once_and_it_can_be_started_again():
    island = Island(beat_s=0.01)
    failed = []

    async def caller() -> None:
        with pytest.raises(IslandDown) as caught:
            await island.run(forever)
        failed.append(caught.value.__cause__)

    with pytest.RaisesGroup(IslandDied, flatten_subgroups=True) as caught:
        async with running(island), trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(caller)
            await until(lambda: island.statistics.pending == 20)
            with pytest.raises(IslandDown):
                await island.run(die)
            await trio.sleep_forever()
    (death,) = caught.value.exceptions
    assert isinstance(death.__cause__, SystemExit)
    assert failed == [death.__cause__] * 20
    await until(lambda: not threads())
    async with running(island):
        assert island.statistics.running


async def test_when_it_is_stopped_pending_calls_fail_and_nothing_is_left():
    island = Island(beat_s=0.01)
    order: list[str] = []
    opened = []

    async def open_something() -> None:
        at_end(lambda: order.append("dropped"))
        at_end(lambda: order.append("taken back"))()
        opened.append(1)
        try:
            await forever()
        finally:
            order.append("cancelled")

    async def caller() -> None:
        with pytest.raises(IslandDown, match="stopped"):
            await island.run(open_something)

    async with trio.open_nursery() as callers, running(island):
        callers.start_soon(caller)
        await until(lambda: bool(opened))
    assert order == ["dropped", "cancelled"]
    assert not threads()
    assert not island.statistics.running


async def test_a_coroutine_that_ignores_its_cancellation_cannot_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(titan.island, "CLEAN_UP_S", 0.05)
    island = Island(beat_s=0.01)

    begun = []

    async def stubborn() -> None:
        begun.append(1)
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                continue

    async def caller() -> None:
        with pytest.raises(IslandDown):
            await island.run(stubborn)

    async with trio.open_nursery() as callers:
        async with running(island):
            callers.start_soon(caller)
            await until(lambda: bool(begun))
        assert not threads()


async def test_the_heartbeat_grows_old_while_the_loop_is_blocked_and_is_fresh_again_after():
    blocked, release = threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        release.wait(QUICKLY_S)

    async with running() as island, trio.open_nursery() as nursery:
        nursery.start_soon(island.run, block)
        await until(blocked.is_set)
        await until(lambda: island.statistics.beat_age_s > 0.1)
        release.set()
        await until(lambda: island.statistics.beat_age_s < 0.1)


async def test_under_random_cancellation_no_call_is_lost_and_none_goes_on_after_its_caller_returned():
    rng = random.Random(7)
    running_there: set[int] = set()
    ended = 0

    async def work(number: int, seconds: float) -> int:
        running_there.add(number)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            if number % 3 == 0:  # some are done all the same, some take a while to end
                return number
            await asyncio.sleep(number % 5 / 1000)
            raise
        finally:
            running_there.discard(number)
        return number

    async def caller(island: Island, number: int, work_s: float, patience_s: float) -> None:
        nonlocal ended
        with trio.move_on_after(patience_s):
            assert await island.run(work, number, work_s) == number
        assert number not in running_there
        ended += 1

    async with running() as island:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for number in range(2000):
                    nursery.start_soon(caller, island, number, rng.uniform(0, 0.02), rng.uniform(0, 0.02))
                    if number % 50 == 0:
                        await trio.lowlevel.checkpoint()
        assert ended == 2000
        assert island.statistics.pending == 0


async def test_crossing_costs_microseconds():
    # A bound against a wake-up per call or a poll, far above what it costs (7 us here), so that a busy machine passes.
    async def nothing() -> None:
        pass

    async with running() as island:
        begin = time.perf_counter()

        async def caller() -> None:
            for _ in range(100):
                await island.run(nothing)

        async with trio.open_nursery() as nursery:
            for _ in range(32):
                nursery.start_soon(caller)
        assert (time.perf_counter() - begin) / 3200 < 500e-6
