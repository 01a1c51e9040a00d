"""A term of leadership under a real supervisor, on a clock of the test: its steps, its ends, and what follows."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from supervisors.actors.lease import LeaseActor
from supervisors.kernel import Child, ChildExited, ChildRestarting, Context, State, Supervisor, Tree, open_tree
from supervisors.leadership import Role
from supervisors.tree import role_of
from tests.support.book import Book
from titan.coordination.candidate import Candidate
from titan.coordination.standing import Standing
from titan.coordination.timings import Timings
from titan.store.contract import Deposed, Fence, StoreUnavailable
from titan.telemetry.log import make_log

ROLE = "cleanup-worker"
GUIDE = Timings()


@dataclass
class Epochs:
    """The part of a store that terms need; `SELECT ... FOR SHARE` by hand."""

    newest: int = 0
    away: str | None = None
    way_there_s: float = 0.0
    way_back_s: float = 0.0
    effects: list[tuple[float, str, int]] = field(default_factory=list)

    async def begin_term(self, role: str, holder: str) -> int:
        await trio.sleep(self.way_there_s)
        if self.away is not None:
            raise StoreUnavailable(self.away)
        self.newest += 1
        epoch = self.newest
        await trio.sleep(self.way_back_s)
        return epoch

    async def effect(self, who: str, fence: Fence) -> None:
        await trio.lowlevel.checkpoint()
        if fence.epoch != self.newest:
            raise Deposed(fence, self.newest)
        self.effects.append((trio.current_time(), who, fence.epoch))


class Instance:
    """One instance that stands for the role, with one task that has an effect every second."""

    def __init__(self, book: Book, epochs: Epochs, name: str = "me") -> None:
        self.name, self.epochs = name, epochs
        self.lines: list[dict[str, Any]] = []
        self.events: list[Any] = []
        self.unfit: str | None = None
        self.standing = Standing(ROLE)
        log = make_log(lambda line: self.lines.append(json.loads(line)))
        candidate = Candidate(book, ROLE, name, GUIDE, unfit_because=lambda: self.unfit)
        self.lease = LeaseActor(candidate, self.standing, epochs, log)  # type: ignore[arg-type]
        self.work: Callable[[Context, Fence], Awaitable[None]] = self.every_second

    async def every_second(self, ctx: Context, fence: Fence) -> None:
        ctx.started()
        while True:
            await self.epochs.effect(self.name, fence)
            await trio.sleep(1)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Tree]:
        async def work(ctx: Context, fence: Fence) -> None:
            await self.work(ctx, fence)

        tasks = Supervisor(name="tasks", children=(Child(name="task", run=self.lease.task(work), shutdown_s=1.0),))
        spec = role_of(Role(ROLE, self.standing, self.lease, tasks))
        root = type(spec)(name="leadership", children=(spec,))
        async with open_tree(root, on_event=self.events.append) as tree:
            yield tree

    @property
    def ends(self) -> list[str]:
        """Why its terms ended."""
        return [line["reason"] for line in self.lines if line["event"] == "leadership ended"]

    @property
    def effects(self) -> list[tuple[float, int]]:
        return [(at, epoch) for at, who, epoch in self.epochs.effects if who == self.name]


@pytest.fixture
def book():
    return Book()


@pytest.fixture
def epochs():
    return Epochs()


@pytest.fixture
def one(book, epochs):
    return Instance(book, epochs, "one")


@pytest.fixture
def two(book, epochs):
    return Instance(book, epochs, "two")


async def test_a_term_begins_step_by_step(book, epochs, one, autojump_clock):
    book.way_there_s = 0.1
    epochs.way_there_s = 0.1
    async with one.running() as tree:
        await trio.sleep(0.25)  # looked, won, and the term is about to begin
        assert (book.holder(ROLE), epochs.newest) == ("one", 0)
        await trio.sleep(0.1)
        assert epochs.newest == 1
        assert not one.standing.leads  # not before one more renewal
        assert one.effects == []
        await trio.sleep(0.1)
        assert one.standing.leads
        assert [question for _, question, _ in book.asked] == ["look", "acquire", "renew"]
        assert one.effects[0][1] == 1
        assert tree.started_value("leadership/cleanup-worker/lease") == 1
        assert [line["epoch"] for line in one.lines if line["event"] == "leadership won"] == [1]


async def test_a_follower_holds_up_nobody_and_does_no_work(book, one, autojump_clock):
    book.give(ROLE, "another")
    async with one.running() as tree:
        await trio.sleep(3600)
        (role,) = tree.snapshot().children
        assert role.state is State.RUNNING
        assert [child.state for child in role.children] == [State.STANDBY, State.DOWN]
        assert one.effects == []
        assert not [event for event in one.events if isinstance(event, ChildExited)]


async def test_an_election_that_stays_away_pauses_the_work_at_the_end_of_the_lease(book, one, autojump_clock):
    async with one.running():
        await trio.sleep(15)  # renewed at 10
        book.away = "redis is away"
        await trio.sleep(24.5)
        assert one.standing.leads
        await trio.sleep(1)
        assert not one.standing.leads
        assert one.effects[-1][0] == 39
        assert one.ends == ["the lease ran out"]
        await trio.sleep(1000)
        book.away = None
        await trio.sleep(2)
        assert one.standing.leads
        assert one.effects[-1][1] == 2
    assert [event for event in one.events if isinstance(event, ChildRestarting)]


async def test_a_refused_effect_ends_the_term_at_once_and_is_no_fault_of_the_task(book, epochs, one, autojump_clock):
    async with one.running():
        await trio.sleep(5.5)
        epochs.newest = 2  # another one has begun, in good faith
        book.give(ROLE, "another", left_s=20)
        await trio.sleep(1)
        assert not one.standing.leads
        assert [at for at, _ in one.effects] == [0, 1, 2, 3, 4, 5]
        (why,) = one.ends
        assert why in {f"{ROLE}: term 1 is over, term 2 has begun", "the lease is not ours any more"}
        await trio.sleep(30)
        assert one.effects[-1][1] == 3
    tasks = [event for event in one.events if isinstance(event, ChildExited) and event.path.endswith("task")]
    assert [event.error for event in tasks] == [None, None]


async def test_of_two_that_believe_in_a_split_election_one_works(epochs, autojump_clock):
    """Redis failed over to a replica that lacks the key, and each of two instances hears another Redis."""
    one, two = Instance(Book(), epochs, "one"), Instance(Book(), epochs, "two")
    async with one.running():
        await trio.sleep(5.5)
        async with two.running():
            await trio.sleep(0.9)
            assert one.ends == [f"{ROLE}: term 1 is over, term 2 has begun"]
            assert [each.standing.leads for each in (one, two)] == [False, True]
            await trio.sleep(300)
    seconds = [round(at) for at, _, _ in epochs.effects]
    assert len(seconds) > 200
    numbers = [epoch for _, _, epoch in epochs.effects]
    assert numbers == sorted(numbers)
    assert numbers[-1] < 30  # not one term after the other: who was deposed stands back, longer each time


async def test_who_was_deposed_once_takes_over_soon_all_the_same(book, epochs, one, autojump_clock):
    async with one.running():
        await trio.sleep(5.5)
        epochs.newest = 2  # another one began, and stops in order two seconds later
        book.give(ROLE, "another", left_s=30)
        await trio.sleep(2)
        book.leases.clear()
        await trio.sleep(1)
        assert one.standing.leads


async def test_who_froze_between_winning_and_working_does_not_work(book, epochs, one, autojump_clock):
    def frozen(question: str) -> None:
        if question == "renew":
            book.give(ROLE, "another", left_s=10)  # while it was frozen its lease ran out

    book.before = frozen
    async with one.running():
        await trio.sleep(5)
        assert epochs.newest == 1
        assert not one.standing.leads
        assert one.effects == []


@pytest.mark.parametrize("trouble", ["away", "slow"])
async def test_who_cannot_begin_a_term_lets_others_try(book, epochs, one, autojump_clock, trouble):
    if trouble == "away":
        epochs.away = "the database is away"
    else:
        epochs.way_there_s = 1e6
    async with one.running():
        await trio.sleep(0.01 if trouble == "away" else GUIDE.ttl_s + 0.01)
        assert book.holder(ROLE) is None  # released, or run out
        assert not one.standing.leads
        epochs.away, epochs.way_there_s = None, 0.0
        await trio.sleep(2)
        assert one.standing.leads
    assert one.effects


async def test_a_store_that_goes_ends_the_term_and_another_instance_takes_over(book, one, two, autojump_clock):
    async with one.running(), two.running():
        await trio.sleep(2)
        leading, following = (one, two) if one.standing.leads else (two, one)
        leading.unfit = "its database is away"
        await trio.sleep(2)
        assert leading.ends == ["this instance cannot do the work now"]
        assert following.standing.leads
        await trio.sleep(100)
        assert not leading.standing.leads


async def test_a_stop_releases_the_lease_once_the_work_has_stopped(book, epochs, one, autojump_clock):
    stopped: list[float] = []

    async def slow_to_stop(ctx: Context, fence: Fence) -> None:
        ctx.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.6)
            stopped.append(trio.current_time())

    one.work = slow_to_stop
    async with one.running():
        await trio.sleep(5)
    assert stopped == [5.6]
    (released_at,) = [at for at, question, _ in book.asked if question == "release"]
    assert released_at == 5.6
    assert trio.current_time() <= 5 + 2
    assert book.holder(ROLE) is None
    assert one.ends == ["the server stops"]


async def test_work_that_does_not_stop_keeps_its_lease_until_that_runs_out(book, one, autojump_clock):
    async def deaf(ctx: Context, fence: Fence) -> None:
        ctx.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    one.work = deaf
    async with one.running():
        await trio.sleep(5)
    assert [question for _, question, _ in book.asked if question == "release"] == []
    assert [line["reason"] for line in one.lines if line["event"] == "leadership not released"] == [
        "its work does not stop"
    ]


async def test_whose_release_is_asked_for_hands_over_and_does_not_take_it_back(book, one, two, autojump_clock):
    async with one.running(), two.running():
        await trio.sleep(2)
        leading, following = (one, two) if one.standing.leads else (two, one)
        await book.ask(ROLE)
        await trio.sleep(2)
        assert following.standing.leads
        assert leading.ends == ["its release was asked for"]
        await trio.sleep(1000)
        assert following.standing.leads


async def test_the_only_instance_takes_it_back_after_a_moment(book, one, autojump_clock):
    async with one.running():
        await trio.sleep(2)
        await book.ask(ROLE)
        await trio.sleep(1)
        assert not one.standing.leads
        await trio.sleep(2)
        assert one.standing.leads
        assert one.standing.epoch == 2


async def test_frozen_for_longer_than_the_lease_it_works_no_more(book, epochs, one, mock_clock):
    async with one.running():
        await wait_all_tasks_blocked()
        assert one.standing.leads
        mock_clock.jump(GUIDE.ttl_s + 5)  # SIGSTOP, and on
        book.give(ROLE, "another", left_s=1000)  # who took over meanwhile
        epochs.newest += 1
        await wait_all_tasks_blocked()
        assert not one.standing.leads
        mock_clock.jump(0.3)
        await wait_all_tasks_blocked()
        assert [epoch for _, epoch in one.effects] == [1]
        # Stopping needs time to pass for whoever waits with a deadline.
        mock_clock.autojump_threshold = 0


@pytest.mark.parametrize("at_s", [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75])
async def test_stopped_in_the_middle_of_any_step_it_leaves_no_lease_behind(book, epochs, one, autojump_clock, at_s):
    """look, acquire, begin the term, renew: each 0.1 s there and 0.1 s back."""
    book.way_there_s = book.way_back_s = 0.1
    epochs.way_there_s = epochs.way_back_s = 0.1
    async with one.running():
        await trio.sleep(at_s)
    assert book.holder(ROLE) is None
    assert not one.standing.leads
    assert one.effects == []


async def test_a_crash_of_a_task_restarts_it_and_leaves_the_term_alone(book, one, autojump_clock):
    crashes = iter([RuntimeError("a bug")])

    async def crash_once(ctx: Context, fence: Fence) -> None:
        ctx.started()
        for error in crashes:
            await trio.sleep(0.5)
            raise error
        await trio.sleep_forever()

    one.work = crash_once
    async with one.running() as tree:
        await trio.sleep(30)
        (role,) = tree.snapshot().children
        assert [child.state for child in role.children] == [State.RUNNING, State.RUNNING]
        assert role.children[1].children[0].restarts == 1
        assert one.standing.leads
        assert one.standing.epoch == 1


async def test_a_task_whose_effects_are_refused_in_a_group_ends_the_term_all_the_same(
    book, epochs, one, autojump_clock
):
    async def many(ctx: Context, fence: Fence) -> None:
        ctx.started()
        await trio.sleep(1.5)
        epochs.newest = 7
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(epochs.effect, "one", fence)

    one.work = many
    async with one.running():
        await trio.sleep(1.6)
        assert one.ends == [f"{ROLE}: term 1 is over, term 7 has begun"]
