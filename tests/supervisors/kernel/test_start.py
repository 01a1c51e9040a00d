"""First start: in order, with a handshake, and never retried."""

import pytest
import trio

from supervisors.kernel import (
    Backoff,
    Child,
    ChildExited,
    ChildRestarting,
    ChildStarted,
    Context,
    ExitReason,
    FirstStartFailed,
    GiveUp,
    Intensity,
    Restart,
    StartTimedOut,
    State,
    Strategy,
    Supervisor,
    UnexpectedReturn,
)
from tests.supervisors.kernel.scenario import Boom, HighestDelay, Stage


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_each_child_waits_until_the_one_before_it_says_that_it_started(autojump_clock, strategy):
    stage = Stage()
    a, b, c = (stage.actor(name, start_after_s=after) for name, after in (("a", 3.0), ("b", 1.0), ("c", 2.0)))
    inner = Supervisor(name="inner", children=(b, c), strategy=strategy)
    async with stage.play(a, inner, stage.actor("d"), strategy=strategy):
        assert stage.log == [(3.0, "+", "a"), (4.0, "+", "inner/b"), (6.0, "+", "inner/c"), (6.0, "+", "d")]
        paths = [event.path for event in stage.of(ChildStarted)]
        assert paths == ["root/a", "root/inner/b", "root/inner/c", "root/inner", "root/d", "root"]


async def test_the_block_runs_when_everything_has_started(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a", start_after_s=3.0)) as tree:
        assert trio.current_time() == 3.0
        assert {node.state for node in tree.snapshot().walk()} == {State.RUNNING}


async def test_a_tree_without_children_starts_and_stops(autojump_clock):
    stage = Stage()
    async with stage.play() as tree:
        assert tree.snapshot().state is State.RUNNING
    assert tree.snapshot().state is State.DOWN


async def test_the_value_given_at_the_start_is_kept(autojump_clock):
    stage = Stage()

    async def run(ctx):
        ctx.started(8080)
        await trio.sleep_forever()

    async with stage.play(stage.child("http", run), stage.actor("b")) as tree:
        assert tree.started_value("root/http") == 8080
        assert tree.started_value("root/b") is None
        with pytest.raises(KeyError):
            tree.started_value("root/nobody")


async def test_saying_twice_that_one_started_is_an_error_of_the_child(autojump_clock):
    stage = Stage()

    async def run(ctx):
        ctx.started()
        ctx.started()

    with pytest.RaisesGroup(GiveUp):
        async with stage.play(stage.child("a", run), intensity=Intensity(max_restarts=0, within_s=1)) as tree:
            await tree.wait_finished()
    assert str(stage.errors()[0]) == "root/a called ctx.started() twice"


@pytest.mark.parametrize("end", ["stop", "fail"])
async def test_saying_that_one_started_means_nothing_once_one_is_to_end(autojump_clock, end):
    stage = Stage()
    lives = iter([0.0, 5.0])

    async def run(ctx):
        try:
            await trio.sleep(next(lives))
            ctx.started()
            raise Boom
        finally:
            if trio.current_time() == 1.0:
                ctx.started()

    async with stage.play(stage.child("a", run), intensity=Intensity(max_restarts=1, within_s=9)) as tree:
        await trio.sleep(1)
        if end == "fail":
            assert tree.fail_child("root/a", Boom("on purpose"))
        tree.request_stop()
        await tree.wait_finished()
    assert len([event for event in stage.of(ChildStarted) if event.path == "root/a"]) == 1


async def test_saying_that_one_started_means_nothing_after_the_end(autojump_clock):
    stage = Stage()
    contexts: list[Context] = []

    async def run(ctx: Context) -> None:
        contexts.append(ctx)
        if len(contexts) == 1:
            ctx.started()
        raise Boom

    async with stage.play(stage.child("a", run, backoff=Backoff(base_s=5.0, cap_s=5.0)), rng=HighestDelay()) as tree:
        await trio.sleep(6)
        assert len(contexts) == 2
        contexts[1].started()
        assert tree.snapshot().children[0].state is State.BACKOFF


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_a_failed_first_start_stops_what_was_started_in_reverse_and_says_why(autojump_clock, strategy):
    stage = Stage()

    async def no_port(ctx):
        raise OSError("port 80 is taken")

    children = (stage.actor("a"), stage.actor("b"), stage.child("http", no_port), stage.actor("never"))
    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(*children, strategy=strategy):
            pytest.fail("the block must not run")
    (error,) = caught.value.exceptions
    assert str(error) == "root/http did not start: OSError: port 80 is taken"
    assert isinstance(error.__cause__, OSError)
    assert stage.did() == ["+a", "+b", "-b", "-a"]


async def test_a_failed_first_start_far_below_names_its_origin(autojump_clock):
    stage = Stage()

    async def broken(ctx):
        raise OSError("disk is full")

    inner = Supervisor(name="inner", children=(stage.actor("b"), stage.child("c", broken)))
    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(stage.actor("a"), inner):
            pytest.fail("the block must not run")
    (error,) = caught.value.exceptions
    assert isinstance(error, FirstStartFailed)
    assert (error.path, error.origin.path) == ("root/inner", "root/inner/c")
    assert isinstance(error.origin.__cause__, OSError)
    assert stage.did() == ["+a", "+inner/b", "-inner/b", "-a"]


@pytest.mark.parametrize("restart", list(Restart))
async def test_a_first_start_is_not_retried_for_any_restart_type(autojump_clock, restart):
    stage = Stage()

    async def broken(ctx):
        stage.note("try", ctx.name)
        raise Boom

    with pytest.RaisesGroup(FirstStartFailed):
        async with stage.play(stage.child("a", broken, restart=restart)):
            pytest.fail("the block must not run")
    assert stage.did() == ["trya"]


async def test_a_permanent_child_that_returns_without_a_word_did_not_start(autojump_clock):
    stage = Stage()

    async def nothing(ctx):
        pass

    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(stage.child("a", nothing)):
            pytest.fail("the block must not run")
    assert isinstance(caught.value.exceptions[0].__cause__, UnexpectedReturn)


async def test_what_is_not_even_an_async_function_did_not_start(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(Child(name="a", run=lambda ctx: None)):  # type: ignore[arg-type,return-value]
            pytest.fail("the block must not run")
    assert isinstance(caught.value.exceptions[0].__cause__, TypeError)


async def test_a_child_that_stays_silent_for_start_s_did_not_start(autojump_clock):
    stage = Stage()

    async def silent(ctx):
        try:
            await trio.sleep_forever()
        finally:
            ctx.started()  # too late to mean anything

    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(stage.actor("a"), stage.child("b", silent, start_s=4.0)):
            pytest.fail("the block must not run")
    assert trio.current_time() == 4.0
    cause = caught.value.exceptions[0].__cause__
    assert isinstance(cause, StartTimedOut)
    assert str(cause) == "root/b did not call ctx.started() within start_s=4"
    assert stage.did() == ["+a", "-a"]
    assert [event.path for event in stage.of(ChildStarted)] == ["root/a"]


async def test_a_silent_child_that_also_fails_to_stop_keeps_both_errors(autojump_clock):
    stage = Stage()

    async def silent(ctx):
        try:
            await trio.sleep_forever()
        finally:
            raise Boom("clean-up")

    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(stage.child("b", silent)):
            pytest.fail("the block must not run")
    cause = caught.value.exceptions[0].__cause__
    assert isinstance(cause, ExceptionGroup)
    assert [type(error) for error in cause.exceptions] == [StartTimedOut, Boom]


async def test_a_restart_that_stays_silent_is_retried_and_counts(autojump_clock):
    stage = Stage()
    waits = iter([0.0, 100.0, 0.0])

    async def run(ctx):
        await trio.sleep(next(waits))
        ctx.started()
        await trio.sleep(1 if trio.current_time() < 1 else 1000)
        raise Boom

    actor = stage.child("a", run, start_s=5.0)
    async with stage.play(actor, intensity=Intensity(max_restarts=2, within_s=100)) as tree:
        await trio.sleep(7)
        (node,) = tree.snapshot().children
        assert (node.state, node.restarts) == (State.RUNNING, 2)
        exits = stage.of(ChildExited)
        assert [type(event.error) for event in exits] == [Boom, StartTimedOut]
        assert [event.asked for event in exits] == [False, False]
        assert exits[1].reason is ExitReason.FAILED
        assert exits[1].up_s is None


async def test_restarts_that_never_start_wait_longer_and_longer(autojump_clock):
    """Without a healthy spell to wait for: a run that never started is no healthy one."""
    stage = Stage()
    first = iter([True])

    async def run(ctx):
        if next(first, False):
            ctx.started()
        raise Boom

    actor = stage.child("a", run, backoff=Backoff(base_s=1.0, cap_s=60.0, healthy_s=0.0))
    async with stage.play(actor, rng=HighestDelay(), intensity=Intensity(max_restarts=3, within_s=900)):
        await trio.sleep(3.5)
    assert [event.delay_s for event in stage.of(ChildRestarting)] == [1.0, 2.0, 4.0]


async def test_a_child_that_drains_is_cancelled_at_once_while_it_has_not_started(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(FirstStartFailed):
        async with stage.play(stage.actor("a", start_after_s=60, start_s=2.0, stop="drain")):
            pytest.fail("the block must not run")
    assert trio.current_time() == 2.0


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["+a", "!a", "-a", "+b", "+a"]),
        (Strategy.REST_FOR_ONE, ["+a", "!a", "-a", "+a", "+b"]),
        (Strategy.ONE_FOR_ALL, ["+a", "!a", "-a", "+a", "+b"]),
    ],
)
async def test_a_child_that_starts_and_dies_in_the_same_tick_has_started_then_exited(
    autojump_clock, strategy, expected
):
    stage = Stage()
    lives = iter([False, True])

    async def run(ctx):
        stage.note("+", ctx.name)
        ctx.started()
        if next(lives):
            await trio.sleep_forever()
        stage.note("!", ctx.name)
        stage.note("-", ctx.name)
        raise Boom

    a = stage.child("a", run, backoff=Backoff(base_s=1.0))
    async with stage.play(a, stage.actor("b"), strategy=strategy, rng=HighestDelay()):
        await trio.sleep(2)
        assert stage.did() == expected
        assert [(type(event), event.path) for event in stage.events[:2]] == [
            (ChildStarted, "root/a"),
            (ChildExited, "root/a"),
        ]


async def test_a_crash_during_the_first_start_of_a_later_child_is_an_ordinary_crash(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1, backoff=Backoff(base_s=0.5))
    async with stage.play(a, stage.actor("b", start_after_s=5.0), rng=HighestDelay()):
        assert stage.log == [(0, "+", "a"), (1, "!", "a"), (1, "-", "a"), (1.5, "+", "a"), (5, "+", "b")]


async def test_a_crash_during_the_first_start_of_a_later_child_stops_it_with_its_group(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1, backoff=Backoff(base_s=0.5))
    b = stage.actor("b", start_after_s=5.0)
    async with stage.play(a, b, rng=HighestDelay(), strategy=Strategy.REST_FOR_ONE):
        assert stage.log == [
            (0, "+", "a"),
            (1, "!", "a"),
            (1, "-", "a"),
            (1, "-", "b"),
            (1.5, "+", "a"),
            (6.5, "+", "b"),
        ]


async def test_a_first_start_that_fails_after_its_group_was_restarted_is_still_a_first_start(autojump_clock):
    stage = Stage()

    async def slow(ctx):
        await trio.sleep(5)
        raise Boom("never up")

    a = stage.actor("a", crash_after_s=1.0, crashes=1)
    with pytest.RaisesGroup(FirstStartFailed):
        async with stage.play(a, stage.child("b", slow), strategy=Strategy.REST_FOR_ONE):
            pytest.fail("the block must not run")
    assert trio.current_time() == 6.0


async def test_a_cancellation_during_the_first_start_stops_in_order(autojump_clock):
    stage = Stage()
    children = stage.actor("a", clean_up_s=1), stage.actor("b", clean_up_s=1), stage.actor("c", start_after_s=9)
    with trio.move_on_at(5.0) as scope:
        async with stage.play(*children):
            pytest.fail("the block must not run")
    assert scope.cancelled_caught
    assert stage.log[2:] == [(5.0, "-", "c"), (6.0, "-", "b"), (7.0, "-", "a")]


async def test_the_stop_after_a_failed_first_start_is_bounded_too(autojump_clock):
    stage = Stage()

    async def broken(ctx):
        raise Boom

    with pytest.RaisesGroup(FirstStartFailed):
        async with stage.play(stage.actor("a"), stage.actor("b", clean_up_s=9), stage.child("c", broken)):
            pytest.fail("the block must not run")
    # b exceeds its 5 s, a does not wait for it, and the tree ends when b has.
    assert stage.log == [(0, "+", "a"), (0, "+", "b"), (5, "-", "a"), (9, "-", "b")]
