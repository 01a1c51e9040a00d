"""The actors of tasks on a clock of the test's own: when they run, what a failure does, what a take-over does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from supervisors.actors.tasks.board import BoardActor
from supervisors.actors.tasks.task import RETRY_S, TaskActor, retry_in_s
from supervisors.kernel import Child, Context, Intensity, State, Supervisor, Tree, open_tree
from tests.support.memory_tasks import MemoryStore
from titan.store.contract import Deposed, Fence, StoreUnavailable
from titan.store.tasks import Figure, Outcome
from titan.tasks.board import Board
from titan.tasks.task import Done, Failed, Run, Task
from titan.telemetry.log import make_log
from titan.telemetry.tasks import TaskTelemetry

ROLE = "cleanup-worker"
EVERY_S = 300.0

Work = Callable[[Run], Awaitable[Done | Failed]]


async def nothing(_run: Run) -> Done:
    return Done("nothing to do")


class Rig:
    """One instance with a store that others may share."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.board = Board()
        self.told: list[tuple[str, str]] = []
        self.lines: list[bytes] = []
        self.telemetry = TaskTelemetry(make_log(self.lines.append), self._count)

    def _count(self, task: str, outcome: str, _took_s: float) -> None:
        self.told.append((task, outcome))

    @asynccontextmanager
    async def term(self, *works: Work, every_s: float = EVERY_S) -> AsyncIterator[Tree]:
        """Lead for the length of the block; the works' tasks are called `t0`, `t1`, ..."""
        fence = Fence(ROLE, await self.store.begin_term(ROLE, "test"))
        board = Child(name="board", run=BoardActor(self.board, self.store).run)  # type: ignore[arg-type]
        children = [self._child(f"t{number}", work, every_s, fence) for number, work in enumerate(works)]
        spec = Supervisor(name="term", children=(board, *children), intensity=Intensity(max_restarts=0))
        async with open_tree(spec) as tree:
            yield tree

    def actor(self, name: str, work: Work, every_s: float) -> TaskActor:
        return TaskActor(Task(name, ROLE, every_s, work, why=""), self.store, self.board, self.telemetry)  # type: ignore[arg-type]

    def _child(self, name: str, work: Work, every_s: float, fence: Fence) -> Child:
        actor = self.actor(name, work, every_s)

        async def run(ctx: Context) -> None:
            await actor.run(ctx, fence)

        return Child(name=name, run=run)

    def times(self, name: str = "t0") -> list[float]:
        return [at for task, at in self.store.tasks.begun if task == name]


async def test_a_task_runs_once_a_period_from_start_to_start(autojump_clock):
    rig = Rig()

    async def takes_a_while(_run: Run) -> Done:
        await trio.sleep(20)
        return Done("done")

    async with rig.term(takes_a_while):
        await trio.sleep(EVERY_S * 3 + 50)
    assert rig.times() == pytest.approx([0, EVERY_S, 2 * EVERY_S, 3 * EVERY_S], abs=0.01)
    assert rig.told == [("t0", "succeeded")] * 4


async def test_a_run_that_takes_longer_than_the_period_is_followed_by_the_next(autojump_clock):
    rig = Rig()

    async def slow(_run: Run) -> Done:
        await trio.sleep(EVERY_S * 2)
        return Done("at last")

    async with rig.term(slow):
        await trio.sleep(EVERY_S * 5)
    assert rig.times() == pytest.approx([0, 2 * EVERY_S, 4 * EVERY_S], abs=0.01)


async def test_the_next_leader_runs_it_when_it_is_due_and_not_at_the_take_over(autojump_clock):
    one = Rig()
    async with one.term(nothing):
        await trio.sleep(100)
    await trio.sleep(50)  # nobody leads
    two = Rig(one.store)
    async with two.term(nothing):
        await trio.sleep(EVERY_S)
    assert two.times() == pytest.approx([0, EVERY_S], abs=0.01)


async def test_what_fell_due_while_nobody_led_is_run_once_and_at_once(autojump_clock):
    one = Rig()
    async with one.term(nothing):
        await trio.sleep(100)
    await trio.sleep(EVERY_S * 3)
    began = trio.current_time()
    async with Rig(one.store).term(nothing):
        await trio.sleep(EVERY_S + 1)
    assert one.times()[1:] == pytest.approx([began, began + EVERY_S], abs=0.01)


async def test_the_next_leader_goes_on_at_once_with_what_was_broken_off(autojump_clock):
    one = Rig()

    async def never_ends(_run: Run) -> Done:
        await trio.sleep_forever()
        raise AssertionError

    async with one.term(never_ends):
        await trio.sleep(10)
    assert one.told == []
    began = trio.current_time()
    two = Rig(one.store)
    async with two.term(nothing):
        await trio.sleep(1)
    assert two.times() == pytest.approx([0, began], abs=0.01)
    assert two.told == [("t0", "succeeded")]
    assert b'"event":"task begun","task":"t0","resumed":true' in b"".join(two.lines)


async def test_a_failing_task_backs_off_and_its_siblings_do_not_notice(autojump_clock):
    rig = Rig()

    async def broken(_run: Run) -> Done:
        raise ZeroDivisionError("a bug")

    async def refused(_run: Run) -> Failed:
        return Failed("it says no")

    async def away(_run: Run) -> Done:
        raise StoreUnavailable("too slow")

    async with rig.term(broken, refused, away, nothing) as tree:
        await trio.sleep(RETRY_S * 7 + 1)
        assert {node.state for node in tree.snapshot().walk()} == {State.RUNNING}
        assert {node.restarts for node in tree.snapshot().walk()} == {0}
    for name in ("t0", "t1", "t2"):
        assert rig.times(name) == pytest.approx([0, RETRY_S, RETRY_S * 3, RETRY_S * 7], abs=0.01)
        assert rig.store.tasks.records[name].failures == 4
    assert rig.times("t3") == [0]
    details = [rig.store.tasks.records[name].detail for name in ("t0", "t1", "t2")]
    assert details == ["ZeroDivisionError: a bug", "it says no", "too slow"]
    assert b"Traceback" in b"".join(rig.lines)


async def test_a_task_that_works_again_is_back_to_its_period(autojump_clock):
    rig = Rig()
    outcomes: list[Done | Failed] = [Failed("x"), Failed("x"), Done("fine"), Done("fine")]

    async def work(_run: Run) -> Done | Failed:
        return outcomes.pop(0)

    async with rig.term(work):
        await trio.sleep(RETRY_S * 3 + EVERY_S + 1)
    assert rig.times() == pytest.approx([0, RETRY_S, RETRY_S * 3, RETRY_S * 3 + EVERY_S], abs=0.01)
    assert rig.store.tasks.records["t0"].outcome is Outcome.SUCCEEDED


def test_the_back_off_is_never_longer_than_the_interval():
    assert [retry_in_s(failures, 200) for failures in (0, 1, 2, 3, 10**6)] == [30, 60, 120, 200, 200]
    assert retry_in_s(0, 5) == 5


async def test_a_request_is_met_within_two_seconds_and_starts_a_new_period(autojump_clock):
    rig = Rig()
    async with rig.term(nothing, nothing):
        await trio.sleep(100.3)
        await rig.store.tasks.request(["t1"])
        await trio.sleep(2)
        assert len(rig.times("t1")) == 2
        assert len(rig.times("t0")) == 1
        await trio.sleep(EVERY_S)
    again = rig.times("t1")[1]
    assert rig.times("t1")[2] == pytest.approx(again + EVERY_S, abs=0.01)


async def test_a_request_during_a_run_gets_one_of_its_own(autojump_clock):
    rig = Rig()

    async def takes_a_while(_run: Run) -> Done:
        await trio.sleep(20)
        return Done("done")

    async with rig.term(takes_a_while):
        await trio.sleep(10)
        await rig.store.tasks.request(["t0"])
        await trio.sleep(40)
    assert rig.times() == pytest.approx([0, 20], abs=0.01)


async def test_while_the_store_is_away_nothing_ends_and_afterwards_it_goes_on(autojump_clock):
    rig = Rig()
    async with rig.term(nothing) as tree:
        await trio.sleep(EVERY_S - 1)
        rig.store.tasks.is_away = True
        await trio.sleep(500)
        assert {node.restarts for node in tree.snapshot().walk()} == {0}
        rig.store.tasks.is_away = False
        back = trio.current_time()
        await trio.sleep(2)
    assert len(rig.times()) == 2
    assert rig.times()[1] - back <= 1.01


async def test_the_store_away_at_the_end_of_a_run_means_the_run_again(autojump_clock):
    rig = Rig()

    async def then_away(_run: Run) -> Done:
        rig.store.tasks.is_away = not rig.times()[1:]
        return Done("x")

    async with rig.term(then_away):
        await trio.sleep(10)
        rig.store.tasks.is_away = False
        await trio.sleep(10)
    assert len(rig.times()) == 2
    assert rig.store.tasks.records["t0"].runs == 1
    assert rig.told == [("t0", "succeeded")]


@pytest.mark.parametrize("where", ["begin", "work", "group", "end"])
async def test_a_newer_term_is_not_the_tasks_business(autojump_clock, where):
    """`Deposed` leaves the actor as it came: who leads has to end the term."""
    rig = Rig()
    fence = Fence(ROLE, await rig.store.begin_term(ROLE, "test"))

    async def work(_run: Run) -> Done:
        if where == "group":
            raise ExceptionGroup("", [ValueError(), ExceptionGroup("", [Deposed(fence, 2)])])
        if where == "work":
            raise Deposed(fence, 2)
        await rig.store.begin_term(ROLE, "other")
        return Done("x")

    if where == "begin":
        await rig.store.begin_term(ROLE, "other")
    context = Context("term/t0", None, lambda _: None)
    seen: list[Deposed] = []
    try:
        await rig.actor("t0", work, EVERY_S).run(context, fence)
    except* ValueError:
        pass
    except* Deposed as refused:
        seen += leaves(refused)
    assert [error.fence for error in seen] == [fence]
    assert all(record.runs == 0 for record in rig.store.tasks.records.values())


def leaves(group: BaseExceptionGroup[Deposed]) -> list[Deposed]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


async def test_the_board_shows_what_was_counted_wherever_it_was_counted(autojump_clock):
    leader = Rig()

    async def counts(_run: Run) -> Done:
        return Done("counted", [Figure("documents", "shell", int(trio.current_time()))])

    other = Rig(leader.store)
    board = Child(name="board", run=BoardActor(other.board, other.store).run)  # type: ignore[arg-type]
    async with open_tree(Supervisor(name="other", children=(board,))), leader.term(counts):
        await trio.sleep(2.5)
        assert list(other.board.figures) == [Figure("documents", "shell", 0)]
        assert other.board.records["t0"].outcome is Outcome.SUCCEEDED
        await trio.sleep(EVERY_S)
        assert list(other.board.figures) == [Figure("documents", "shell", int(EVERY_S))]
        leader.store.tasks.is_away = True
        await trio.sleep(100)
        assert list(other.board.figures) == [Figure("documents", "shell", int(EVERY_S))]
