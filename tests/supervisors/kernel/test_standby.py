"""A child that is well and waits for what may never come: it holds up those after it and nothing else."""

import math

import pytest
import trio

from supervisors.kernel import Child, ChildStarted, Context, ExitReason, Leash, Restart, State, Strategy, Supervisor
from tests.supervisors.kernel.scenario import Boom, Stage
from tests.supervisors.kernel.test_leash import exits_of


class Waiting:
    """A child on standby, and the test's hand on it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.contexts: list[Context] = []
        self.error: Exception | None = None
        self.go_on = trio.Event()

    async def run(self, ctx: Context) -> None:
        self.contexts.append(ctx)
        self._stage.note("?", ctx.name)
        ctx.standby()
        await self.go_on.wait()
        if self.error is not None:
            error, self.error, self.go_on = self.error, None, trio.Event()
            raise error
        self._stage.note("+", ctx.name)
        ctx.started("won")
        await trio.sleep_forever()

    def child(self, name: str = "lease", **options: object) -> Child:
        return self._stage.child(name, self.run, **options)


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
async def waiting(stage):
    return Waiting(stage)


IN_ORDER = pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])


@IN_ORDER
async def test_those_after_it_wait_and_the_tree_has_started(stage, waiting, strategy, autojump_clock):
    inner = Supervisor(name="term", children=(waiting.child(), stage.actor("task")), strategy=strategy)
    async with stage.play(inner, stage.actor("next")) as tree:
        assert stage.did() == ["?term/lease", "+next"]
        await trio.sleep(1000)  # far beyond start_s
        term = tree.snapshot().children[0]
        assert (term.state, [child.state for child in term.children]) == (
            State.RUNNING,
            [State.STANDBY, State.DOWN],
        )
        waiting.go_on.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.did("+") == ["+next", "+term/lease", "+term/task"]
        assert tree.started_value("root/term/lease") == "won"
        term = tree.snapshot().children[0]
        assert [child.state for child in term.children] == [State.RUNNING, State.RUNNING]
    assert stage.did("-") == ["-next", "-term/task"]


async def test_where_children_know_nothing_of_each_other_nobody_waits(stage, waiting, autojump_clock):
    async with stage.play(waiting.child("a"), stage.actor("b")) as tree:
        assert stage.did() == ["?a", "+b"]
        assert tree.snapshot().children[0].state is State.STANDBY


async def test_the_tree_has_started_only_once_those_before_it_have(stage, waiting, autojump_clock):
    slow = stage.actor("slow", start_after_s=3.0)
    async with stage.play(slow, waiting.child(), stage.actor("task"), strategy=Strategy.REST_FOR_ONE):
        assert stage.log == [(3.0, "+", "slow"), (3.0, "?", "lease")]


async def test_a_stop_ends_it(stage, waiting, autojump_clock):
    async with stage.play(waiting.child(stop="drain"), stage.actor("task"), strategy=Strategy.REST_FOR_ONE):
        pass
    assert trio.current_time() == 0  # nothing to drain: it never began
    assert [event.reason for event in exits_of(stage, "root/lease")] == [ExitReason.STOPPED]
    assert stage.of(ChildStarted) == [event for event in stage.of(ChildStarted) if event.path == "root"]


async def test_a_crash_on_standby_is_a_crash_and_not_a_start_that_failed(stage, waiting, autojump_clock):
    async with stage.play(waiting.child(), stage.actor("task"), strategy=Strategy.REST_FOR_ONE) as tree:
        waiting.error = Boom("while waiting")
        waiting.go_on.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.did() == ["?lease", "?lease"]
        assert tree.snapshot().children[0].state is State.STANDBY
        assert tree.snapshot().children[0].restarts == 1


async def test_those_after_it_stop_and_wait_again_when_it_comes_back(stage, waiting, autojump_clock):
    async with stage.play(waiting.child(), stage.actor("task"), strategy=Strategy.REST_FOR_ONE) as tree:
        waiting.go_on.set()
        await trio.testing.wait_all_tasks_blocked()
        waiting.go_on = trio.Event()
        tree.fail_child("root/lease", Boom("lost"))
        await trio.testing.wait_all_tasks_blocked()
        assert stage.did() == ["?lease", "+lease", "+task", "-task", "?lease"]


@pytest.mark.parametrize("first", ["standby", "started"])
async def test_it_can_be_said_once_and_before_the_start_only(stage, first, autojump_clock):
    async def run(ctx: Context) -> None:
        getattr(ctx, first)()
        ctx.standby()

    async with stage.play(stage.child("a", run, restart=Restart.TEMPORARY)) as tree:
        await trio.testing.wait_all_tasks_blocked()
        assert tree.snapshot().children[0].last_error == (
            "RuntimeError: root/a called ctx.standby() twice, or after ctx.started()"
        )


async def test_whoever_was_asked_to_stop_stands_by_no_more(stage, autojump_clock):
    async def late(ctx: Context) -> None:
        ctx.started()
        try:
            await trio.sleep_forever()
        finally:
            stage.note("-", ctx.name)

    async def too_late(ctx: Context) -> None:
        with trio.CancelScope(shield=True):
            await ctx.stop_requested.wait()
        ctx.standby()
        stage.note(ctx.name, "said")

    spec = Supervisor(
        name="inner",
        children=(stage.child("late", late), stage.child("too_late", too_late)),
        strategy=Strategy.REST_FOR_ONE,
    )
    async with trio.open_nursery() as nursery:

        async def play() -> None:
            async with stage.play(spec):
                pytest.fail("it never starts")

        nursery.start_soon(play)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert stage.did() == ["root/inner/too_latesaid", "-inner/late"]


async def test_an_endless_leash_gets_its_end_with_what_was_won(stage, waiting, autojump_clock):
    """The shape of a term of leadership."""
    term = Supervisor(
        name="term",
        children=(waiting.child(), stage.actor("task")),
        strategy=Strategy.REST_FOR_ONE,
        leash=Leash(),
    )
    async with stage.play(term) as tree:
        await trio.sleep(100)
        (ctx,) = waiting.contexts
        assert ctx.leash is not None
        assert ctx.leash.deadline == math.inf
        assert ctx.leash.extend(130.0)
        assert ctx.leash.extend(120.0)  # never earlier from now on
        waiting.go_on.set()
        await trio.testing.wait_all_tasks_blocked()
        waiting.go_on = trio.Event()
        await trio.sleep(50)
        assert [(event.at, event.reason) for event in exits_of(stage, "root/term/task")] == [(130.0, ExitReason.LEASH)]
        assert len(waiting.contexts) == 2  # the next one waits for the next term
        assert [child.state for child in tree.snapshot().children[0].children] == [State.STANDBY, State.DOWN]
