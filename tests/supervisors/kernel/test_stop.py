"""Ordered stop: in reverse, one after the other, each within its time."""

from typing import Any

import pytest
import trio

from supervisors.kernel import (
    DRAIN_GRACE_S,
    Backoff,
    Child,
    ChildExited,
    Context,
    ExitReason,
    Intensity,
    State,
    StopTooSlow,
    Strategy,
    Supervisor,
)
from tests.supervisors.kernel.scenario import Boom, HighestDelay, Stage


def nested(stage: Stage) -> tuple[Child | Supervisor, ...]:
    inner = Supervisor(name="inner", children=(stage.actor("b", clean_up_s=1), stage.actor("c", clean_up_s=2)))
    return stage.actor("a", clean_up_s=3), inner, stage.actor("d", clean_up_s=4)


IN_REVERSE = [(4.0, "-", "d"), (6.0, "-", "inner/c"), (7.0, "-", "inner/b"), (10.0, "-", "a")]


async def test_leaving_the_block_stops_in_reverse_each_after_the_one_behind_it_has_ended(autojump_clock):
    stage = Stage()
    async with stage.play(*nested(stage)):
        stage.log.clear()
    assert stage.log == IN_REVERSE


async def test_stop_waits_for_the_end_and_leaves_the_block_running(autojump_clock):
    stage = Stage()
    async with stage.play(*nested(stage)) as tree:
        stage.log.clear()
        await tree.stop()
        assert stage.log == IN_REVERSE
        assert {node.state for node in tree.snapshot().walk()} == {State.DOWN}
        await tree.stop()
        tree.request_stop()
        await trio.sleep(1)


async def test_a_request_to_stop_returns_at_once_and_twice_is_as_good_as_once(autojump_clock):
    stage = Stage()
    async with stage.play(*nested(stage)) as tree:
        stage.log.clear()
        tree.request_stop()
        tree.request_stop()
        assert trio.current_time() == 0
        assert tree.snapshot().state is State.STOPPING
        await tree.wait_finished()
        assert stage.log == IN_REVERSE


async def test_a_cancellation_from_outside_stops_in_order_too(autojump_clock):
    stage = Stage()
    with trio.CancelScope() as scope:
        async with stage.play(*nested(stage)):
            stage.log.clear()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert stage.log == IN_REVERSE


async def test_an_error_in_the_block_stops_in_order_and_is_raised(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(Boom):
        async with stage.play(*nested(stage)):
            stage.log.clear()
            raise Boom
    assert stage.log == IN_REVERSE


async def test_a_child_that_is_too_slow_is_reported_and_the_stop_goes_on(autojump_clock):
    stage = Stage()
    slow = stage.actor("slow", clean_up_s=20.0, shutdown_s=3.0)
    async with stage.play(stage.actor("a", clean_up_s=1), slow, stage.actor("c", clean_up_s=1)) as tree:
        stage.log.clear()
        tree.request_stop()
        await trio.sleep(4.5)
        assert tree.snapshot().children[1].state is State.STUCK
        await tree.wait_finished()
    assert stage.of(StopTooSlow) == [StopTooSlow("root/slow", 4.0, 3.0, for_restart=False)]
    assert stage.log == [(1.0, "-", "c"), (5.0, "-", "a"), (21.0, "-", "slow")]
    assert [event.path for event in stage.of(ChildExited)] == ["root/c", "root/a", "root/slow", "root"]
    assert tree.snapshot().children[1].state is State.DOWN


async def test_a_supervisor_with_a_child_that_is_too_slow_does_not_hold_up_its_siblings(autojump_clock):
    stage = Stage()
    slow = stage.actor("slow", clean_up_s=20.0, shutdown_s=3.0)
    inner = Supervisor(name="inner", children=(stage.actor("b"), slow))
    async with stage.play(stage.actor("a"), inner):
        stage.log.clear()
    # inner may take 5 s + 3 s and 0.25 s of its own.
    assert [(event.path, event.at) for event in stage.of(StopTooSlow)] == [
        ("root/inner/slow", 3.0),
        ("root/inner", 8.25),
    ]
    assert stage.log == [(3.0, "-", "inner/b"), (8.25, "-", "a"), (20.0, "-", "inner/slow")]


async def test_an_error_in_a_clean_up_is_reported_and_changes_nothing(autojump_clock):
    stage = Stage()
    bad = stage.actor("bad", clean_up_error=Boom("while stopping"))
    async with stage.play(stage.actor("a"), bad, stage.actor("c")):
        stage.log.clear()
    assert stage.did() == ["-c", "-bad", "-a"]
    (event,) = [event for event in stage.of(ChildExited) if event.error]
    assert (event.path, event.asked, event.reason) == ("root/bad", True, ExitReason.FAILED)
    assert str(event.error) == "while stopping"


async def test_a_child_that_was_asked_and_ends_is_reported_as_stopped(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a")):
        await trio.sleep(2)
    (event, _root) = stage.of(ChildExited)
    assert event == ChildExited("root/a", 2.0, ExitReason.STOPPED, None, asked=True, up_s=2.0)


# --- drain ---


def draining(stage: Stage, *, needs_s: float, clean_up_s: float = 0.0, **options: Any) -> Child:
    async def run(ctx: Context) -> None:
        try:
            ctx.started()
            await ctx.stop_requested.wait()
            stage.note("drain", ctx.name)
            await trio.sleep(needs_s)
            stage.note("drained", ctx.name)
        finally:
            if clean_up_s:
                with trio.CancelScope(shield=True):
                    await trio.sleep(clean_up_s)
            stage.note("-", ctx.name)

    return stage.child("http", run, stop="drain", **options)


async def test_a_child_that_drains_is_told_and_not_cancelled(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a"), draining(stage, needs_s=2.0, shutdown_s=3.0)):
        stage.log.clear()
    assert stage.log == [(0, "drain", "http"), (2, "drained", "http"), (2, "-", "http"), (2, "-", "a")]
    assert stage.of(ChildExited)[0].reason is ExitReason.STOPPED


async def test_a_child_that_drains_for_too_long_is_cancelled(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a"), draining(stage, needs_s=60.0, shutdown_s=3.0)):
        stage.log.clear()
    assert stage.log == [(0, "drain", "http"), (3, "-", "http"), (3, "-", "a")]
    assert stage.of(StopTooSlow) == []


async def test_a_child_that_drains_and_ignores_its_cancellation_is_reported_after_a_grace(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a"), draining(stage, needs_s=60.0, clean_up_s=20.0, shutdown_s=3.0)):
        stage.log.clear()
    assert stage.log == [(0, "drain", "http"), (3 + DRAIN_GRACE_S, "-", "a"), (23, "-", "http")]
    assert [(event.path, event.waited_s) for event in stage.of(StopTooSlow)] == [("root/http", 3 + DRAIN_GRACE_S)]


async def test_a_child_that_is_cancelled_can_tell_that_it_was_asked(autojump_clock):
    stage = Stage()

    async def run(ctx):
        ctx.started()
        assert not ctx.stop_requested.is_set()
        try:
            await trio.sleep_forever()
        finally:
            stage.note(str(ctx.stop_requested.is_set()), "")

    async with stage.play(stage.child("a", run)):
        pass
    assert stage.did() == ["True"]


# --- stop while something else is going on ---


@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
@pytest.mark.parametrize("stop_at", [1.5, 2.5, 3.25, 4.5])
async def test_a_stop_in_the_middle_of_a_group_restart_ends_it(autojump_clock, strategy, stop_at):
    """Crash at 1, c stops until 2, b until 3, back-off of a until 3.5 (from 1), then a needs 2 s to start."""
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, start_after_s=2.0, crashes=1, backoff=Backoff(base_s=2.5, cap_s=2.5))
    b, c = (stage.actor(name, clean_up_s=1.0) for name in "bc")
    async with stage.play(a, b, c, strategy=strategy, rng=HighestDelay()) as tree:
        assert trio.current_time() == 2.0
        await trio.sleep(stop_at)
        await tree.stop()
        assert trio.current_time() <= 2.0 + stop_at + 2.0
        assert set(stage.running.values()) == {0}
        assert {node.state for node in tree.snapshot().walk()} == {State.DOWN}
    assert stage.did("+") == ["+a", "+b", "+c"]


async def test_a_stop_clears_the_start_times_of_those_whose_turn_comes_later(autojump_clock):
    """a is starting again when the stop comes; it must be stopped in its turn, not when its start_s is over."""
    stage = Stage()
    late = iter([0.0, 100.0])

    async def run(ctx):
        try:
            await trio.sleep(next(late))
            ctx.started()
            await trio.sleep(1)
            raise Boom
        finally:
            stage.note("-", ctx.name)

    a = stage.child("a", run, start_s=2.0)
    async with stage.play(a, stage.actor("b", clean_up_s=4)) as tree:
        await trio.sleep(1.5)
        await tree.stop()
    assert stage.log[1:] == [(1.0, "-", "a"), (5.5, "-", "b"), (5.5, "-", "a")]
    assert stage.of(ChildExited)[2].error is None


async def test_a_start_in_the_tick_of_the_stop_does_not_end_the_wait_for_the_stop(autojump_clock):
    """a says that it started when its supervisor has been told to stop, and has not read that yet; then it is slow."""
    stage = Stage()
    runs = []

    async def run(ctx):
        runs.append(ctx)
        if len(runs) == 1:
            ctx.started()
            raise Boom
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async with stage.play(stage.child("a", run, shutdown_s=5.0)) as tree:
        await trio.sleep(3)
        tree.request_stop()
        runs[1].started()
    assert [event.at for event in stage.of(StopTooSlow)] == [8.0]


async def test_a_stop_finds_a_child_that_finished_and_one_that_was_never_started(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1, backoff=Backoff(base_s=9, cap_s=9))
    async with stage.play(
        a, stage.actor("b"), strategy=Strategy.REST_FOR_ONE, rng=HighestDelay(), intensity=Intensity(within_s=1000)
    ) as tree:
        await trio.sleep(2)
        assert [node.state for node in tree.snapshot().children] == [State.BACKOFF, State.DOWN]
        await tree.stop()
    assert stage.did() == ["+a", "+b", "!a", "-a", "-b"]
