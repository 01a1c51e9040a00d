"""Intensity in a running tree, and what happens above a supervisor that gave up."""

import math

import pytest
import trio

from supervisors.kernel import (
    ActorEvent,
    Backoff,
    ChildExited,
    FirstStartFailed,
    GaveUp,
    GiveUp,
    Intensity,
    Restart,
    State,
    Strategy,
    Supervisor,
    Tree,
    open_tree,
    run_tree,
)
from tests.supervisors.kernel.scenario import Boom, HighestDelay, LowestDelay, Stage


@pytest.mark.parametrize("max_restarts", [0, 1, 4])
async def test_the_exit_after_max_restarts_is_the_last(autojump_clock, max_restarts):
    stage = Stage()
    intensity = Intensity(max_restarts=max_restarts, within_s=1000)
    with pytest.RaisesGroup(GiveUp):
        async with stage.play(stage.actor("a", crash_after_s=1.0), intensity=intensity) as tree:
            await tree.wait_finished()
    assert stage.did("+") == ["+a"] * (max_restarts + 1)
    assert trio.current_time() == max_restarts + 1


@pytest.mark.parametrize(("within_s", "gives_up"), [(2.0, False), (math.nextafter(2.0, 3.0), True)])
async def test_an_exit_leaves_the_window_exactly_within_s_later(autojump_clock, within_s, gives_up):
    """Exits at 1, 2, 3: the third is within 2 s of the first only if the window is a hair longer than 2 s."""
    stage = Stage()
    actor = stage.actor("a", crash_after_s=1.0, crashes=3)
    with trio.move_on_at(10) as scope:
        try:
            async with stage.play(actor, intensity=Intensity(max_restarts=2, within_s=within_s)) as tree:
                await tree.wait_finished()
        except* GiveUp:
            pass
    assert scope.cancelled_caught is not gives_up


async def test_exits_of_all_children_count_together(autojump_clock):
    stage = Stage()
    actors = [stage.actor(name, crash_after_s=at, crashes=1) for name, at in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    with pytest.RaisesGroup(GiveUp) as caught:
        async with stage.play(*actors, intensity=Intensity(max_restarts=2, within_s=100)) as tree:
            await tree.wait_finished()
    (error,) = caught.value.exceptions
    assert str(error) == "root gave up: 3 exits, more than 2 within 100 s; the last: Boom: root/c"
    cause = error.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert [str(exit_) for exit_ in cause.exceptions] == ["root/a", "root/b", "root/c"]


async def test_giving_up_is_announced_before_the_stop_begins(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(GiveUp):
        async with stage.play(
            stage.actor("a", crash_after_s=1.0),
            stage.actor("b", clean_up_s=3.0),
            intensity=Intensity(max_restarts=0, within_s=9),
        ) as tree:
            await tree.wait_finished()
    (event,) = stage.of(GaveUp)
    assert (event.path, event.at, event.error.path) == ("root", 1.0, "root")
    after = stage.events[stage.events.index(event) :]
    assert [(type(later), later.path, later.at) for later in after[1:]] == [
        (ChildExited, "root/b", 4.0),
        (ChildExited, "root", 4.0),
    ]


def loop(stage: Stage, *, restart: Restart = Restart.PERMANENT, crashes: int = 10**9) -> Supervisor:
    """A supervisor that gives up whenever its child has crashed twice, after 2 s."""
    return Supervisor(
        name="inner",
        children=(stage.actor("bad", crash_after_s=1.0, crashes=crashes), stage.actor("good")),
        intensity=Intensity(max_restarts=1, within_s=10),
        restart=restart,
    )


async def test_a_supervisor_that_gave_up_is_restarted_by_the_rules_of_its_parent(autojump_clock):
    stage = Stage()
    async with stage.play(
        stage.actor("a"), loop(stage, crashes=2), stage.actor("z"), strategy=Strategy.REST_FOR_ONE
    ) as tree:
        stage.log.clear()
        await trio.sleep(10)
        assert stage.did() == [
            *("!inner/bad", "-inner/bad", "+inner/bad", "!inner/bad", "-inner/bad", "-inner/good"),
            *("-z", "+inner/bad", "+inner/good", "+z"),
        ]
        inner = tree.snapshot().children[1]
        assert (inner.state, inner.restarts, inner.children[0].restarts) == (State.RUNNING, 1, 2)


async def test_each_run_of_a_supervisor_has_a_window_of_its_own(autojump_clock):
    stage = Stage()
    async with stage.play(loop(stage, crashes=3), intensity=Intensity(max_restarts=1, within_s=1000)):
        await trio.sleep(10)
        assert stage.did("+").count("+inner/bad") == 4


async def test_escalation_reaches_the_root_as_a_chain_of_whole_groups(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(GiveUp) as caught:
        async with stage.play(loop(stage), intensity=Intensity(max_restarts=2, within_s=1000)) as tree:
            await tree.wait_finished()
    (root,) = caught.value.exceptions
    assert isinstance(root.__cause__, ExceptionGroup)
    inner = root.__cause__.exceptions
    assert [type(error) for error in inner] == [GiveUp] * 3
    leaves = [leaf for error in inner for leaf in error.__cause__.exceptions]  # type: ignore[union-attr]
    assert leaves == [error for error in stage.errors() if isinstance(error, Boom)]
    assert len(leaves) == 6
    assert [event.path for event in stage.of(GaveUp)] == ["root/inner"] * 3 + ["root"]


@pytest.mark.parametrize(
    ("restart", "state"),
    [(Restart.TRANSIENT, State.RUNNING), (Restart.TEMPORARY, State.FINISHED)],
)
async def test_a_supervisor_that_gives_up_has_failed_as_its_restart_type_sees_it(autojump_clock, restart, state):
    stage = Stage()
    async with stage.play(loop(stage, restart=restart), intensity=Intensity(max_restarts=5, within_s=1000)) as tree:
        await trio.sleep(2.5)
        assert tree.snapshot().children[0].state is state


async def test_a_supervisor_in_backoff_has_nothing_running(autojump_clock):
    stage = Stage()
    inner = Supervisor(
        name="inner",
        children=(stage.actor("bad", crash_after_s=1.0), stage.actor("good")),
        intensity=Intensity(max_restarts=0, within_s=10),
        backoff=Backoff(base_s=5, cap_s=5),
    )
    async with stage.play(inner, rng=HighestDelay(), intensity=Intensity(within_s=1000)) as tree:
        await trio.sleep(3)
        assert [node.state for node in tree.snapshot().walk()] == [
            State.RUNNING,
            State.BACKOFF,
            State.DOWN,
            State.DOWN,
        ]


async def test_the_first_start_of_a_restarted_supervisor_is_retried_because_it_is_a_restart(autojump_clock):
    stage = Stage()
    tries = iter([True, False, False, True])

    async def run(ctx):
        if not next(tries):
            raise Boom("not yet")
        ctx.started()
        await trio.sleep(1 if trio.current_time() < 1 else 1000)
        raise Boom

    inner = Supervisor(
        name="inner",
        children=(stage.child("a", run),),
        intensity=Intensity(max_restarts=0, within_s=10),
    )
    async with stage.play(inner, intensity=Intensity(max_restarts=3, within_s=1000)) as tree:
        await trio.sleep(5)
        assert {node.state for node in tree.snapshot().walk()} == {State.RUNNING}
        failed = [event.error for event in stage.of(ChildExited) if event.path == "root/inner"]
        assert [type(error) for error in failed] == [GiveUp, FirstStartFailed, FirstStartFailed]


async def test_a_supervisor_that_gives_up_during_its_first_start_did_not_start(autojump_clock):
    stage = Stage()
    inner = Supervisor(
        name="inner",
        children=(stage.actor("bad", crash_after_s=1.0), stage.actor("slow", start_after_s=9.0)),
        intensity=Intensity(max_restarts=1, within_s=10),
    )
    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(inner):
            pytest.fail("the block must not run")
    assert isinstance(caught.value.exceptions[0].__cause__, GiveUp)
    assert trio.current_time() == 2.0


async def test_a_give_up_is_raised_even_if_a_stop_arrives_while_it_is_stopping(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(GiveUp):
        async with stage.play(
            stage.actor("a", crash_after_s=1.0),
            stage.actor("b", clean_up_s=3.0),
            intensity=Intensity(max_restarts=0, within_s=9),
        ) as tree:
            with trio.CancelScope(shield=True):  # the block is cancelled by the end of the tree only
                await trio.sleep(2)
            await tree.stop()


async def test_exits_that_are_read_after_the_supervisor_gave_up_decide_nothing(autojump_clock):
    """All crash in one tick; the first one that is read is the last that counts."""
    stage = Stage()
    actors = [stage.actor(name, crash_after_s=1.0, backoff=Backoff(base_s=0)) for name in "abcd"]
    with pytest.RaisesGroup(GiveUp) as caught:
        async with stage.play(*actors, intensity=Intensity(max_restarts=0, within_s=9)) as tree:
            await tree.wait_finished()
    assert len(caught.value.exceptions[0].__cause__.exceptions) == 1  # type: ignore[union-attr]
    assert sorted(str(error) for error in stage.errors()[:-1]) == ["root/a", "root/b", "root/c", "root/d"]
    assert stage.did("+") == ["+a", "+b", "+c", "+d"]


async def test_a_backoff_that_ends_in_the_tick_of_the_give_up_starts_nothing_any_more(autojump_clock):
    """trio decides by chance whether b's crash or the end of a's back-off comes first; both have to happen."""
    seen: set[bool] = set()
    while len(seen) < 2:
        stage, trees, waited = Stage(), list[Tree](), list[bool]()

        def note(
            event: ActorEvent, stage: Stage = stage, trees: list[Tree] = trees, waited: list[bool] = waited
        ) -> None:
            stage.events.append(event)
            if isinstance(event, GaveUp):
                waited.append(trees[0].snapshot().children[0].state is State.BACKOFF)

        a = stage.actor("a", crash_after_s=1.0, crashes=1, backoff=Backoff(base_s=1.0))
        b = stage.actor("b", crash_after_s=2.0, crashes=1)
        spec = Supervisor(name="root", children=(a, b), intensity=Intensity(max_restarts=1, within_s=9))
        with pytest.RaisesGroup(GiveUp):
            async with open_tree(spec, rng=HighestDelay(), on_event=note) as tree:
                trees.append(tree)
                await tree.wait_finished()
        assert len([event for event in stage.of(ChildExited) if event.path == "root/a"]) == (1 if waited[0] else 2)
        seen.add(waited[0])


async def test_run_tree_stays_until_the_tree_fails(autojump_clock):
    stage = Stage()
    spec = Supervisor(
        name="root",
        children=(stage.actor("a", crash_after_s=1.0),),
        intensity=Intensity(max_restarts=1, within_s=10),
    )
    with pytest.RaisesGroup(GiveUp):
        await run_tree(spec, rng=LowestDelay(), on_event=stage.events.append)
    assert trio.current_time() == 2.0
    assert stage.of(GaveUp)


async def test_run_tree_stops_in_order_when_it_is_cancelled(autojump_clock):
    stage = Stage()
    spec = Supervisor(name="root", children=(stage.actor("a"), stage.actor("b", clean_up_s=1.0)))
    with trio.move_on_after(3):
        await run_tree(spec)
    assert stage.log[2:] == [(4.0, "-", "b"), (4.0, "-", "a")]


async def test_a_restarted_supervisor_shows_nothing_of_its_last_run(autojump_clock):
    stage = Stage()
    inner = Supervisor(
        name="inner",
        children=(
            stage.actor("slow", start_after_s=2.0),
            stage.actor("once", return_after_s=1.0, restart=Restart.TEMPORARY),
        ),
    )
    async with stage.play(inner) as tree:
        await trio.sleep(3)
        assert [node.state for node in tree.snapshot().children[0].children] == [State.RUNNING, State.FINISHED]
        tree.fail_child("root/inner", Boom())
        await trio.sleep(1)
        assert [node.state for node in tree.snapshot().children[0].children] == [State.STARTING, State.DOWN]
