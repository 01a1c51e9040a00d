"""What can be seen from outside."""

import dataclasses
from typing import Any

import pytest
import trio

from supervisors.kernel import (
    Backoff,
    ChildExited,
    ChildRestarting,
    ChildStarted,
    ExitReason,
    Restart,
    Snapshot,
    State,
    Strategy,
    Supervisor,
    Tree,
    open_tree,
)
from tests.supervisors.kernel.scenario import HighestDelay, Stage


async def test_a_snapshot_says_everything_about_a_tree(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1, why="first things first", backoff=Backoff(base_s=0.5))
    b = stage.actor("b", restart=Restart.TRANSIENT)
    inner = Supervisor(name="inner", children=(b,), strategy=Strategy.REST_FOR_ONE, why="together")
    spec = Supervisor(name="root", children=(a, inner), why="all of it")
    wall = 1000.0
    async with open_tree(spec, rng=HighestDelay(), wall=lambda: wall + trio.current_time()) as tree:
        await trio.sleep(5)
        leaf: dict[str, Any] = {"strategy": None, "children": (), "state": State.RUNNING}
        assert tree.snapshot() == Snapshot(
            name="root",
            path="root",
            why="all of it",
            state=State.RUNNING,
            restart=Restart.PERMANENT,
            strategy=Strategy.ONE_FOR_ONE,
            restarts=0,
            last_error=None,
            since=0.0,
            since_wall=1000.0,
            children=(
                Snapshot(
                    name="a",
                    path="root/a",
                    why="first things first",
                    restart=Restart.PERMANENT,
                    restarts=1,
                    last_error="Boom: root/a",
                    since=1.5,
                    since_wall=1001.5,
                    **leaf,
                ),
                Snapshot(
                    name="inner",
                    path="root/inner",
                    why="together",
                    state=State.RUNNING,
                    restart=Restart.PERMANENT,
                    strategy=Strategy.REST_FOR_ONE,
                    restarts=0,
                    last_error=None,
                    since=0.0,
                    since_wall=1000.0,
                    children=(
                        Snapshot(
                            name="b",
                            path="root/inner/b",
                            why="",
                            restart=Restart.TRANSIENT,
                            restarts=0,
                            last_error=None,
                            since=0.0,
                            since_wall=1000.0,
                            **leaf,
                        ),
                    ),
                ),
            ),
        )


async def test_a_snapshot_does_not_change(autojump_clock):
    stage = Stage()
    async with stage.play(stage.actor("a")) as tree:
        before = tree.snapshot()
    assert before.children[0].state is State.RUNNING
    assert tree.snapshot().children[0].state is State.DOWN
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.state = State.DOWN  # type: ignore[misc]


async def test_a_snapshot_can_be_walked_in_start_order(autojump_clock):
    stage = Stage()
    inner = Supervisor(name="inner", children=(stage.actor("b"), stage.actor("c")))
    async with stage.play(stage.actor("a"), inner, stage.actor("d")) as tree:
        paths = [node.path for node in tree.snapshot().walk()]
    assert paths == ["root", "root/a", "root/inner", "root/inner/b", "root/inner/c", "root/d"]


async def test_every_state_is_seen_at_its_time(autojump_clock):
    """a is up at 1, crashes at 2, is gone at 3, starts again at 5 and is up at 6; b stops from 3 to 6, too slowly."""
    stage = Stage()
    a = stage.actor(
        "a", start_after_s=1.0, crash_after_s=1.0, crashes=1, clean_up_s=1.0, backoff=Backoff(base_s=2, cap_s=2)
    )
    b = stage.actor("b", clean_up_s=3.0, shutdown_s=1.0)
    spec = Supervisor(name="root", children=(a, b), strategy=Strategy.REST_FOR_ONE)
    seen = []
    async with open_tree(spec, rng=HighestDelay()) as tree:
        for at in (1.5, 3.5, 4.5, 5.5, 6.5):
            await trio.sleep_until(at)
            seen.append([node.state for node in tree.snapshot().children])
    assert seen == [
        [State.RUNNING, State.RUNNING],
        [State.BACKOFF, State.STOPPING],
        [State.BACKOFF, State.STUCK],
        [State.STARTING, State.STUCK],
        [State.RUNNING, State.RUNNING],
    ]


async def test_events_tell_the_story_in_order(autojump_clock):
    stage = Stage()
    a = stage.actor("a", crash_after_s=1.0, crashes=1, backoff=Backoff(base_s=0.5))
    async with stage.play(a, stage.actor("b"), rng=HighestDelay(), strategy=Strategy.REST_FOR_ONE):
        await trio.sleep(2)
    crash = stage.of(ChildExited)[0].error
    stopped: dict[str, Any] = {"reason": ExitReason.STOPPED, "error": None, "asked": True}
    assert stage.events == [
        ChildStarted("root/a", 0.0, 0),
        ChildStarted("root/b", 0.0, 0),
        ChildStarted("root", 0.0, 0),
        ChildExited("root/a", 1.0, ExitReason.FAILED, crash, asked=False, up_s=1.0),
        ChildRestarting("root/a", 1.0, 0.5, "root/a"),
        ChildRestarting("root/b", 1.0, 0.0, "root/a"),
        ChildExited("root/b", 1.0, **stopped, up_s=1.0),
        ChildStarted("root/a", 1.5, 1),
        ChildStarted("root/b", 1.5, 1),
        ChildExited("root/b", 2.0, **stopped, up_s=0.5),
        ChildExited("root/a", 2.0, **stopped, up_s=0.5),
        ChildExited("root", 2.0, **stopped, up_s=2.0),
    ]


async def test_a_callback_sees_the_state_that_its_event_is_about(autojump_clock):
    stage = Stage()
    seen = []
    trees: list[Tree] = []

    def look(event):
        if trees:
            seen.append((type(event).__name__, trees[0].snapshot().children[0].state))

    a = stage.actor("a", crash_after_s=1.0, crashes=1, clean_up_s=0)
    async with open_tree(Supervisor(name="root", children=(a,)), on_event=look) as tree:
        trees.append(tree)
        await trio.sleep(2)
        assert seen == [
            ("ChildExited", State.DOWN),
            ("ChildRestarting", State.BACKOFF),
            ("ChildStarted", State.RUNNING),
        ]
