"""Errors stay whole: nothing is unwrapped, nothing is swallowed."""

import pytest
import trio

from supervisors.kernel import (
    ChildExited,
    ExitReason,
    FatalExit,
    GiveUp,
    Intensity,
    Restart,
    StopTooSlow,
    Supervisor,
    describe,
    open_tree,
)
from tests.supervisors.kernel.scenario import Boom, Stage

ONCE = Intensity(max_restarts=0, within_s=10)


async def test_a_group_that_leaves_a_child_is_reported_as_it_is(autojump_clock):
    stage = Stage()
    group = ExceptionGroup("two at once", [Boom("one"), ExceptionGroup("deeper", [OSError("two")])])

    async def run(ctx):
        ctx.started()
        await trio.sleep(1)
        raise group

    with pytest.RaisesGroup(GiveUp) as caught:
        async with stage.play(stage.child("a", run), intensity=ONCE) as tree:
            await tree.wait_finished()
    assert caught.value.exceptions[0].__cause__.exceptions == (group,)  # type: ignore[union-attr]
    assert stage.errors()[0] is group
    assert tree.snapshot().children[0].last_error == "Boom: one (and 1 more)"


async def test_errors_of_a_childs_own_nursery_arrive_without_the_cancellations_beside_them(autojump_clock):
    stage = Stage()

    async def clean_up():
        try:
            await trio.sleep_forever()
        finally:
            raise Boom("clean-up")

    async def run(ctx):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clean_up)
            nursery.start_soon(trio.sleep_forever)
            ctx.started()

    async with stage.play(stage.child("a", run)):
        pass
    (error,) = stage.errors()
    assert isinstance(error, ExceptionGroup)
    assert [str(leaf) for leaf in error.exceptions] == ["clean-up"]


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("deep", [False, True])
async def test_what_is_not_an_exception_stops_the_whole_tree_in_order_and_leaves_it(autojump_clock, fatal, deep):
    stage = Stage()

    async def run(ctx):
        ctx.started()
        await trio.sleep(1)
        raise fatal

    bad = stage.child("bad", run)
    inner = Supervisor(name="inner", children=(bad,)) if deep else bad
    with pytest.raises(BaseExceptionGroup) as caught:
        async with stage.play(stage.actor("a"), inner, stage.actor("c", clean_up_s=1.0)) as tree:
            await tree.wait_finished()
    matched, rest = caught.value.split(fatal)
    assert matched is not None
    assert rest is None
    assert stage.log[2:] == [(2.0, "-", "c"), (2.0, "-", "a")]
    first = stage.of(ChildExited)[0]
    assert type(first.error) is fatal
    assert first.reason is ExitReason.FAILED


async def test_what_is_not_an_exception_is_not_lost_while_stopping_either(autojump_clock):
    stage = Stage()
    children = stage.actor("a"), stage.actor("b", clean_up_error=KeyboardInterrupt()), stage.actor("c")
    with pytest.raises(BaseExceptionGroup) as caught:
        async with stage.play(*children):
            stage.log.clear()
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert stage.did() == ["-c", "-b", "-a"]


async def raise_stray_cancelled() -> None:
    """Raise a `Cancelled` again outside the scope that it belongs to, as a badly written wrapper does."""
    kept: BaseException | None = None
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            kept = error
            raise
    assert kept is not None
    raise kept


async def test_a_stray_cancelled_is_a_crash_of_the_supervisor_and_not_a_silent_end(autojump_clock):
    stage = Stage()

    async def bad(ctx):
        ctx.started()
        await trio.sleep(1)
        await raise_stray_cancelled()

    inner = Supervisor(name="inner", children=(stage.actor("a"), stage.child("bad", bad)))
    with pytest.RaisesGroup(GiveUp) as caught:
        async with stage.play(inner, intensity=ONCE) as tree:
            await tree.wait_finished()
    (error,) = caught.value.exceptions[0].__cause__.exceptions  # type: ignore[union-attr]
    assert isinstance(error, FatalExit)
    assert isinstance(error.__cause__, trio.Cancelled)
    assert stage.did() == ["+inner/a", "-inner/a"]


async def test_a_stray_cancelled_during_the_stop_does_not_hide_that_the_supervisor_gave_up(autojump_clock):
    """c crashes at 1, b takes until 4 to stop, and bad, whose turn has not come, ends at 2."""
    stage = Stage()

    async def bad(ctx):
        ctx.started()
        await trio.sleep(2)
        await raise_stray_cancelled()

    children = stage.actor("a"), stage.child("bad", bad), stage.actor("b", clean_up_s=3.0)
    with pytest.RaisesGroup(GiveUp):
        async with stage.play(*children, stage.actor("c", crash_after_s=1.0), intensity=ONCE) as tree:
            await tree.wait_finished()
    assert stage.did() == ["+a", "+b", "+c", "!c", "-c", "-b", "-a"]
    assert [type(error) for error in stage.errors()[1:]] == [trio.Cancelled, GiveUp]


async def test_a_callback_that_raises_stops_the_tree_in_order_and_is_raised(autojump_clock):
    stage = Stage()
    calls = []

    def broken(event):
        calls.append(event)
        if isinstance(event, ChildExited):
            raise BrokenPipeError("stdout is closed")

    spec = Supervisor(name="root", children=(stage.actor("a", crash_after_s=1.0), stage.actor("b"), stage.actor("c")))
    with pytest.RaisesGroup(BrokenPipeError):
        async with open_tree(spec, on_event=broken) as tree:
            await tree.wait_finished()
    assert stage.did()[3:] == ["!a", "-a", "-c", "-b"]
    assert len([event for event in calls if isinstance(event, ChildExited)]) == 1


@pytest.mark.parametrize("kind", [ChildExited, StopTooSlow])
async def test_an_interrupt_in_the_middle_of_the_stop_neither_hangs_nor_gets_lost(autojump_clock, kind):
    """In a child's task (its exit is told) and in the supervisor's own (too slow is told)."""
    stage = Stage()

    def interrupted(event):
        if isinstance(event, kind) and event.path == "root/c":
            raise KeyboardInterrupt

    done = stage.actor("done", return_after_s=0.5, restart=Restart.TEMPORARY)
    children = done, stage.actor("a"), stage.actor("b"), stage.actor("c", clean_up_s=9.0, shutdown_s=2.0)
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - leaving the inner block is what raises
        async with open_tree(Supervisor(name="root", children=children), on_event=interrupted):
            await trio.sleep(1)
            stage.log.clear()
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert {(at, who) for at, kind, who in stage.log} == {(3.0, "a"), (3.0, "b"), (10.0, "c")}
    assert set(stage.running.values()) == {0}


async def test_fail_child_ends_a_run_as_if_it_had_crashed(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a", clean_up_s=1.0), stage.actor("b")) as tree:
        assert tree.fail_child("root/a", Boom("on purpose"))
        await trio.sleep(2)
        assert stage.log[2:] == [(1.0, "-", "a"), (1.0, "+", "a")]
        (event,) = stage.of(ChildExited)
        assert (event.reason, event.asked, str(event.error)) == (ExitReason.FAILED, False, "on purpose")


async def test_of_two_errors_that_a_run_is_made_to_fail_with_the_first_counts(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a", clean_up_s=1.0)) as tree:
        assert tree.fail_child("root/a", Boom("first"))
        assert tree.fail_child("root/a", Boom("second")) is False
        await trio.sleep(2)
        assert [str(error) for error in stage.errors()] == ["first"]


async def test_fail_child_works_on_supervisors_and_on_what_is_not_running_says_so(autojump_clock):
    stage = Stage()
    inner = Supervisor(name="inner", children=(stage.actor("a"), stage.actor("b")))
    async with stage.play(inner) as tree:
        assert tree.fail_child("root/inner", Boom())
        await trio.sleep(1)
        assert stage.did() == ["+inner/a", "+inner/b", "-inner/b", "-inner/a", "+inner/a", "+inner/b"]
        with pytest.raises(KeyError):
            tree.fail_child("root/nobody", Boom())
        await tree.stop()
        assert not tree.fail_child("root/inner/a", Boom())


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (ValueError("  \n one"), "ValueError: one"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 188),
        (Unprintable(), "Unprintable: (its text cannot be read)"),
        (ExceptionGroup("g", [ValueError("a")]), "ValueError: a"),
        (
            ExceptionGroup("g", [ExceptionGroup("h", [ValueError("a"), ValueError("b")]), ValueError("c")]),
            "ValueError: a (and 2 more)",
        ),
    ],
)
def test_an_error_is_described_in_one_short_line(error, text):
    assert describe(error) == text
