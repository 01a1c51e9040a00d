"""What each rule of the caches and the feed is for: a course of events that goes well with it, and wrong without."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.cache.model_postgres import Plan
from tests.cache.rules import CONTROLS
from tests.cache.world import KEPT, World
from titan.cache import memory


class Course:
    """One thing after the other, all of it done before the next."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def write(self, on: int, name: str = "one", *stops: str, client: int | None = None) -> None:
        self.world.write(on, name, Plan(frozenset(stops), "again" in stops), client=client, deletes=False)
        await wait_all_tasks_blocked()

    async def read(self, on: int, *stops: str, client: int | None = None, newest: bool = False) -> None:
        self.world.read(on, "one", Plan(frozenset(stops)), client=client, newest=newest)
        await wait_all_tasks_blocked()

    async def stall(self, on: int, where: str = "before") -> None:
        """Have an instance's feed stop there at its next poll."""
        self.world.instances[on].feed_plan.stops = frozenset({where})
        await wait_all_tasks_blocked()

    async def go_on(self) -> None:
        """Let the reader or writer go on that has stopped."""
        self.world.gates.open(0)
        await wait_all_tasks_blocked()

    async def wait(self, seconds: float) -> None:
        """Let time pass, in steps in which feeds poll."""
        while seconds > 0:
            self.world.clock.jump(min(seconds, 0.13))
            seconds -= 0.13
            await wait_all_tasks_blocked()

    async def promote(self, lost: int = 0) -> None:
        self.world.promote(lost)
        await wait_all_tasks_blocked()

    async def connect(self, *instances: int) -> None:
        for on in instances:
            self.world.connect(on)
        await wait_all_tasks_blocked()


async def a_slow_reader_comes_with_what_was_replaced(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    it.world.evict(1)
    it.world.redis.values.clear()
    await it.read(1, "after")
    await it.write(0)
    await it.wait(0.3)
    await it.go_on()
    await it.wait(1.2)
    await it.read(1)


async def a_slow_reader_comes_when_its_change_is_forgotten(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    it.world.evict(1)
    it.world.redis.values.clear()
    await it.read(1, "after")
    await it.write(0)
    for number in range(KEPT + 1):
        await it.write(0, f"other {number}")
    await it.wait(0.3)
    await it.go_on()
    await it.wait(1.2)
    await it.read(1)


async def a_slow_reader_comes_with_what_a_promotion_lost(it: Course) -> None:
    await it.write(0)
    await it.write(0)
    await it.wait(0.3)
    it.world.evict(1)
    it.world.redis.values.clear()
    await it.read(1, "late")
    it.world.instances[1].feed_plan.stops = frozenset()
    for instance in it.world.instances:
        instance.link.lose()
    it.world.postgres.promote(1)
    await it.connect(0, 1)
    await it.wait(0.3)
    await it.go_on()
    await it.wait(1.2)
    await it.read(1)


async def the_feed_is_lost(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    await it.read(1)
    await it.stall(1)
    await it.write(0)
    await it.wait(1.2)
    await it.read(1)


async def the_answer_to_a_poll_takes_long(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    await it.read(1)
    it.world.redis.is_deaf = True
    await it.stall(1, "after")
    await it.wait(0.26)
    await it.write(0)
    await it.wait(0.39)
    it.world.instances[1].feed_plan.stops = frozenset({"before"})
    await it.go_on()
    await it.wait(0.78)
    await it.read(1)


async def a_session_goes_where_the_feed_is_behind(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    await it.read(1)
    await it.stall(1)
    await it.write(0)
    await it.read(0, client=0)
    await it.read(1, client=0)


async def a_session_goes_where_a_lost_answer_was_asked_for_again(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    await it.stall(1)
    await it.wait(0.26)
    await it.write(1, "one", "again")
    await it.write(0)
    await it.read(0, client=0)
    it.world.gates.open(1)  # the first that stopped is the feed
    await wait_all_tasks_blocked()
    await it.read(1, client=0)


async def a_session_goes_where_a_promotion_is_not_known(it: Course) -> None:
    await it.write(0)
    await it.write(0)
    await it.wait(0.3)
    await it.read(1)
    await it.stall(1)
    await it.promote(lost=1)
    await it.connect(0, 1)
    await it.read(0, client=0, newest=True)
    await it.read(1, client=0)


async def a_transaction_is_committed_late(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    await it.read(1)
    it.world.redis.is_deaf = True
    await it.write(0, "one", "commit")
    await it.write(2, "other")
    await it.wait(0.3)
    await it.go_on()
    await it.wait(1.2)
    await it.read(1)


async def a_crash_gives_numbers_again(it: Course) -> None:
    await it.write(0)
    for _ in range(3):
        it.world.postgres.end(it.world.postgres.begin())
    await it.wait(0.3)
    await it.read(1)
    it.world.redis.is_deaf = True
    it.world.crash()
    await it.connect(0)
    for name in ("one", "two", "three", "four"):  # else the numbers are fewer than the feed saw, which it notices
        await it.write(0, name)
    await it.connect(1)
    await it.wait(1.2)
    await it.read(1)


async def another_instance_writes(it: Course) -> None:
    await it.write(0)
    await it.wait(0.3)
    await it.read(1)
    await it.write(0)
    await it.wait(1.2)
    await it.read(1)


async def a_promotion_loses_a_write(it: Course) -> None:
    await it.write(0)
    await it.write(0)
    await it.wait(0.3)
    await it.read(1)
    await it.promote(lost=1)
    await it.connect(0, 1)
    await it.wait(1.2)
    await it.read(1)


COURSES: dict[str, Callable[[Course], Awaitable[None]]] = {
    "named since": a_slow_reader_comes_with_what_was_replaced,
    "forgotten": a_slow_reader_comes_when_its_change_is_forgotten,
    "life": a_slow_reader_comes_with_what_a_promotion_lost,
    "fresh": the_feed_is_lost,
    "asked": the_answer_to_a_poll_takes_long,
    "session": a_session_goes_where_the_feed_is_behind,
    "again": a_session_goes_where_a_lost_answer_was_asked_for_again,
    "history": a_session_goes_where_a_promotion_is_not_known,
    "late": a_transaction_is_committed_late,
    "lasting": a_crash_gives_numbers_again,
    "named": another_instance_writes,
    "cleared": a_promotion_loses_a_write,
}


async def follow(name: str, clock: MockClock) -> World:
    async with trio.open_nursery() as nursery:
        world = World(nursery, clock, instances=3, clients=1)
        await wait_all_tasks_blocked()
        await COURSES[name](Course(world))
        nursery.cancel_scope.cancel()
    world.redis.close()
    return world


@pytest.fixture(autouse=True)
def _room_for_few(monkeypatch):
    monkeypatch.setattr(memory, "LARGEST_SHARE", 1)


@pytest.mark.parametrize("name", COURSES)
async def test_with_all_rules_it_goes_well(name, mock_clock):
    assert (await follow(name, mock_clock)).wrong == []


@pytest.mark.parametrize("name", CONTROLS)
async def test_without_the_rule_it_goes_wrong(name, mock_clock):
    with CONTROLS[name]:
        assert (await follow(name, mock_clock)).wrong != []
