"""permanent, transient, temporary."""

from typing import Any

import pytest
import trio

from supervisors.kernel import (
    ChildExited,
    ExitReason,
    GiveUp,
    Intensity,
    Restart,
    State,
    Strategy,
    Tree,
    UnexpectedReturn,
)
from tests.supervisors.kernel.scenario import Boom, Stage


def states(tree: Tree) -> dict[str, State]:
    return {node.name: node.state for node in tree.snapshot().children}


@pytest.mark.parametrize(
    ("restart", "end", "comes_back"),
    [
        (Restart.PERMANENT, "crash_after_s", True),
        (Restart.PERMANENT, "return_after_s", True),
        (Restart.TRANSIENT, "crash_after_s", True),
        (Restart.TRANSIENT, "return_after_s", False),
        (Restart.TEMPORARY, "crash_after_s", False),
        (Restart.TEMPORARY, "return_after_s", False),
    ],
)
async def test_a_child_comes_back_as_its_restart_type_says(autojump_clock, restart, end, comes_back):
    stage = Stage()
    options: dict[str, Any] = {end: 1.0}
    actor = stage.actor("a", restart=restart, **options)
    async with stage.play(actor) as tree:
        await trio.sleep(1.5)
        assert states(tree) == {"a": State.RUNNING if comes_back else State.FINISHED}
        assert stage.did("+") == ["+a"] * (2 if comes_back else 1)
        expected = ExitReason.FAILED if end == "crash_after_s" else ExitReason.RETURNED
        assert tree.snapshot().children[0].last_error == ("Boom: root/a" if end == "crash_after_s" else None)
        assert [event.reason for event in stage.of(ChildExited)] == [expected]


async def test_returning_counts_for_a_permanent_child(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(GiveUp) as caught:
        async with stage.play(
            stage.actor("a", return_after_s=1.0), intensity=Intensity(max_restarts=1, within_s=10)
        ) as tree:
            await tree.wait_finished()
    cause = caught.value.exceptions[0].__cause__
    assert isinstance(cause, ExceptionGroup)
    assert [type(error) for error in cause.exceptions] == [UnexpectedReturn] * 2
    assert str(cause.exceptions[0]) == "root/a is permanent but returned"


async def test_a_temporary_child_that_crashes_costs_nothing_but_its_error_is_reported(autojump_clock):
    stage = Stage()
    crash = stage.actor("a", crash_after_s=1.0, restart=Restart.TEMPORARY)
    other = stage.actor("b")
    nothing = Intensity(max_restarts=0, within_s=10)
    async with stage.play(crash, other, intensity=nothing, strategy=Strategy.ONE_FOR_ALL):
        await trio.sleep(2)
        assert stage.did() == ["+a", "+b", "!a", "-a"]
        assert [type(error) for error in stage.errors()] == [Boom]


async def test_a_transient_child_whose_work_was_done_works_again_when_its_group_is_restarted(autojump_clock):
    stage = Stage()
    async with stage.play(
        stage.actor("base", crash_after_s=2.0, crashes=1),
        stage.actor("work", return_after_s=1.0, restart=Restart.TRANSIENT),
        strategy=Strategy.REST_FOR_ONE,
    ) as tree:
        await trio.sleep(1.5)
        assert states(tree)["work"] is State.FINISHED
        await trio.sleep(1)
        assert states(tree) == {"base": State.RUNNING, "work": State.RUNNING}
        await trio.sleep(1)
        assert states(tree)["work"] is State.FINISHED


@pytest.mark.parametrize("done", [True, False])
async def test_a_temporary_child_is_stopped_with_its_group_and_does_not_come_back(autojump_clock, done):
    stage = Stage()
    async with stage.play(
        stage.actor("base", crash_after_s=2.0, crashes=1),
        stage.actor("once", restart=Restart.TEMPORARY, return_after_s=1.0 if done else None),
        stage.actor("rest"),
        strategy=Strategy.REST_FOR_ONE,
    ) as tree:
        await trio.sleep(3)
        assert states(tree) == {"base": State.RUNNING, "once": State.FINISHED, "rest": State.RUNNING}
        assert stage.did("+").count("+once") == 1
        assert stage.running["root/once"] == 0


async def test_a_temporary_child_that_was_stopped_before_it_started_once_is_started(autojump_clock):
    stage = Stage()
    async with stage.play(
        stage.actor("base", crash_after_s=1.0, crashes=1),
        stage.actor("once", restart=Restart.TEMPORARY, start_after_s=5.0),
        strategy=Strategy.REST_FOR_ONE,
    ) as tree:
        assert trio.current_time() == 6.0
        assert states(tree) == {"base": State.RUNNING, "once": State.RUNNING}


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
async def test_work_that_returns_without_a_word_was_started_and_is_done(autojump_clock, restart):
    stage = Stage()

    async def work(ctx):
        stage.note("work", ctx.name)

    async with stage.play(stage.child("a", work, restart=restart), stage.actor("b")) as tree:
        assert states(tree) == {"a": State.FINISHED, "b": State.RUNNING}
    assert stage.did() == ["worka", "+b", "-b"]
