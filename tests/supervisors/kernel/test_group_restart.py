"""one_for_all and rest_for_one while something else goes wrong."""

import pytest
import trio

from supervisors.kernel import (
    Backoff,
    ChildExited,
    ChildRestarting,
    GiveUp,
    Intensity,
    Restart,
    State,
    StopTooSlow,
    Strategy,
)
from tests.supervisors.kernel.scenario import Boom, HighestDelay, Stage

BOTH = pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
HALF = Backoff(base_s=0.5)


@BOTH
async def test_a_group_is_stopped_in_reverse_before_it_is_started_in_order(autojump_clock, strategy):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1, start_after_s=0.25, backoff=HALF)
    b, c = (stage.actor(name, clean_up_s=1.0, start_after_s=0.25) for name in "bc")
    async with stage.play(a, b, c, strategy=strategy, rng=HighestDelay()) as tree:
        # a crashed at 1.25; its back-off (until 1.75) is over before c and then b have stopped.
        for at, expected in (1.5, State.BACKOFF), (2.0, State.DOWN):
            await trio.sleep_until(at)
            assert tree.snapshot().children[0].state is expected
        await trio.sleep(10)
        assert stage.log[3:] == [
            (1.25, "!", "a"),
            (1.25, "-", "a"),
            (2.25, "-", "c"),
            (3.25, "-", "b"),
            (3.5, "+", "a"),
            (3.75, "+", "b"),
            (4.0, "+", "c"),
        ]


@BOTH
async def test_a_second_crash_while_the_group_stops_is_reported_and_not_counted(autojump_clock, strategy):
    """c takes from 1 to 2 to stop; b, whose turn has not come yet, crashes at 1.5."""
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1)
    b = stage.actor("b", crash_after_s=1.5, crashes=1)
    c = stage.actor("c", clean_up_s=1.0)
    async with stage.play(a, b, c, strategy=strategy, intensity=Intensity(max_restarts=1, within_s=100)):
        await trio.sleep(10)
        assert stage.did() == ["+a", "+b", "+c", "!a", "-a", "!b", "-b", "-c", "+a", "+b", "+c"]
        assert [str(error) for error in stage.errors()] == ["root/a", "root/b"]


@BOTH
async def test_a_second_crash_while_the_group_starts_restarts_it_and_counts(autojump_clock, strategy):
    """At 1 a crashes; a is back at 1, b needs 2 s to start; at 2 a crashes again."""
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=2)
    starts = iter([0.0, 2.0, 2.0])

    async def slow(ctx):
        await trio.sleep(next(starts))
        stage.note("+", ctx.name)
        ctx.started()
        try:
            await trio.sleep_forever()
        finally:
            stage.note("-", ctx.name)

    options = {"strategy": strategy, "intensity": Intensity(max_restarts=2, within_s=100)}
    async with stage.play(a, stage.child("b", slow), stage.actor("c"), **options):
        await trio.sleep(10)
        assert stage.did() == ["+a", "+b", "+c", "!a", "-a", "-c", "-b", "+a", "!a", "-a", "+a", "+b", "+c"]


@BOTH
async def test_a_restart_that_fails_to_start_is_retried_with_the_group_and_counts(autojump_clock, strategy):
    stage = Stage()
    fails = iter([False, True, True, False])

    async def run(ctx):
        if next(fails):
            raise Boom("again")
        stage.note("+", ctx.name)
        ctx.started()
        await trio.sleep_forever()

    a = stage.actor("a", crash_after_s=1.0, crashes=1)
    b = stage.child("b", run, backoff=HALF)
    async with stage.play(
        a, b, stage.actor("c"), strategy=strategy, rng=HighestDelay(), intensity=Intensity(max_restarts=3, within_s=100)
    ) as tree:
        await trio.sleep(10)
        assert {node.state for node in tree.snapshot().walk()} == {State.RUNNING}
        own = [event.delay_s for event in stage.of(ChildRestarting) if event.because_of == "root/b"]
        assert [delay for delay in own if delay] == [0.5, 1.0]


async def test_a_group_restart_goes_on_without_a_child_that_is_too_slow_and_never_runs_it_twice(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1)
    slow = stage.actor("slow", clean_up_s=20.0, shutdown_s=2.0)
    async with stage.play(a, stage.actor("b"), slow, stage.actor("d"), strategy=Strategy.REST_FOR_ONE) as tree:
        await trio.sleep(10)
        assert [node.state for node in tree.snapshot().children] == [
            State.RUNNING,
            State.RUNNING,
            State.STUCK,
            State.DOWN,
        ]
        assert stage.of(StopTooSlow) == [StopTooSlow("root/slow", 3.0, 2.0, for_restart=True)]
        await trio.sleep(15)
        assert {node.state for node in tree.snapshot().walk()} == {State.RUNNING}
    assert stage.log[4:11] == [
        (1.0, "!", "a"),
        (1.0, "-", "a"),
        (1.0, "-", "d"),
        (3.0, "-", "b"),
        (3.0, "+", "a"),
        (3.0, "+", "b"),
        (21.0, "-", "slow"),
    ]
    assert stage.log[11:13] == [(21.0, "+", "slow"), (21.0, "+", "d")]


async def test_another_restart_does_not_wait_again_for_a_child_that_is_stuck(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=4.0, crashes=2)
    slow = stage.actor("slow", clean_up_s=20.0, shutdown_s=2.0)
    async with stage.play(a, slow, strategy=Strategy.REST_FOR_ONE):
        await trio.sleep(50)
        assert [at for at, kind, who in stage.log if (kind, who) == ("+", "a")] == [0.0, 6.0, 10.0]
        assert len(stage.of(StopTooSlow)) == 1
        assert [at for at, kind, who in stage.log if (kind, who) == ("+", "slow")] == [0.0, 24.0]


async def test_a_stop_does_not_wait_again_for_a_child_that_is_stuck(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1)
    slow = stage.actor("slow", clean_up_s=20.0, shutdown_s=2.0)
    async with stage.play(a, slow, strategy=Strategy.REST_FOR_ONE):
        await trio.sleep(5)
        stage.log.clear()
    assert stage.log == [(5.0, "-", "a"), (21.0, "-", "slow")]
    assert len(stage.of(StopTooSlow)) == 1


async def test_a_silent_restart_that_is_also_too_slow_to_stop_holds_up_only_its_own_restart(autojump_clock):
    stage = Stage()
    first = iter([True, False, True])

    async def run(ctx):
        if next(first):
            ctx.started()
            await trio.sleep(1 if trio.current_time() < 1 else 1000)
            raise Boom
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    a = stage.child("a", run, start_s=2.0, shutdown_s=3.0)
    b = stage.actor("b", crash_after_s=10.0, crashes=1)
    async with stage.play(a, b) as tree:
        await trio.sleep(12)
        assert [node.state for node in tree.snapshot().children] == [State.STUCK, State.RUNNING]
        assert [(event.at, event.for_restart) for event in stage.of(StopTooSlow)] == [(6.0, True)]
        await trio.sleep(10)
        assert [node.state for node in tree.snapshot().children] == [State.RUNNING, State.RUNNING]


async def test_a_group_restart_hits_a_silent_child_that_is_being_stopped_already(autojump_clock):
    """b is silent from 1 to 3 and stops until 4; at 3.5 a crashes: b's exit then belongs to the restart of a."""
    stage = Stage()
    waits = iter([0.0, 100.0, 0.0])

    async def run(ctx):
        try:
            await trio.sleep(next(waits))
            ctx.started()
            await trio.sleep(1 if trio.current_time() < 1 else 1000)
            raise Boom
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)

    a = stage.actor("a", crash_after_s=3.5, crashes=1)
    b = stage.child("b", run, start_s=1.0)
    intensity = Intensity(max_restarts=2, within_s=100)
    async with stage.play(a, b, strategy=Strategy.REST_FOR_ONE, intensity=intensity) as tree:
        await trio.sleep(20)
        assert {node.state for node in tree.snapshot().walk()} == {State.RUNNING}


@BOTH
async def test_the_restart_of_each_member_is_announced_with_its_reason(autojump_clock, strategy):
    stage = Stage()
    done = stage.actor("done", return_after_s=0.5, restart=Restart.TRANSIENT)
    once = stage.actor("once", restart=Restart.TEMPORARY)
    b = stage.actor("b", crash_after_s=1.0, crashes=1)
    async with stage.play(b, done, once, stage.actor("c"), strategy=strategy):
        await trio.sleep(2)
    told = [(event.path, event.because_of) for event in stage.of(ChildRestarting)]
    assert told == [("root/b", "root/b"), ("root/done", "root/b"), ("root/c", "root/b")]


async def test_giving_up_while_the_group_still_stops_finishes_the_stop_in_order(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0)
    with pytest.RaisesGroup(GiveUp):
        async with stage.play(
            a,
            stage.actor("b", clean_up_s=1.0),
            stage.actor("c", clean_up_s=1.0),
            strategy=Strategy.REST_FOR_ONE,
            intensity=Intensity(max_restarts=1, within_s=100),
        ) as tree:
            await tree.wait_finished()
    assert stage.did()[3:] == ["!a", "-a", "-c", "-b", "+a", "+b", "+c", "!a", "-a", "-c", "-b"]


async def test_two_crashes_in_one_tick_make_one_restart_of_the_group(autojump_clock):
    """Whichever is read first condemns, or is condemned by, the other; both orders end with everything up."""
    stage = Stage()
    a, b, c = (stage.actor(name, crash_after_s=1.0, crashes=1) for name in "abc")
    async with stage.play(a, b, c, strategy=Strategy.ONE_FOR_ALL) as tree:
        await trio.sleep(5)
        assert {node.state for node in tree.snapshot().walk()} == {State.RUNNING}
        assert stage.did("+") == ["+a", "+b", "+c"] * 2
        assert len(stage.of(ChildExited)) == 3


async def test_a_child_that_is_condemned_twice_is_announced_once(autojump_clock):
    """b crashes at 1 and c takes until 4 to stop; a crashes at 2."""
    stage = Stage()
    a = stage.actor("a", crash_after_s=2.0, crashes=1)
    b = stage.actor("b", crash_after_s=1.0, crashes=1)
    c = stage.actor("c", clean_up_s=3.0)
    async with stage.play(a, b, c, strategy=Strategy.REST_FOR_ONE):
        await trio.sleep(10)
        told = [(event.path, event.because_of) for event in stage.of(ChildRestarting)]
        assert told == [("root/b", "root/b"), ("root/c", "root/b"), ("root/a", "root/a")]
        assert stage.did("+") == ["+a", "+b", "+c"] * 2
