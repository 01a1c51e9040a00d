"""Reads are never wrong, whatever happens in whatever order: a state machine over several instances.

What each rule of the caches is for is shown one by one in `test_rules`.
"""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import ClassVar, TypeAlias
from unittest.mock import patch

import pytest
import trio
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from trio.testing import MockClock, wait_all_tasks_blocked

from supervisors.actors import change_feed
from tests.cache.model_postgres import Plan
from tests.cache.rules import CONTROLS
from tests.cache.world import World, Wrong
from titan.cache import memory

INSTANCES, DOCUMENTS, CLIENTS = 3, 3, 2
WAIT_S = 30.0

number = st.integers(0, 1 << 16)
instance = st.integers(0, INSTANCES - 1)
document_id = st.sampled_from([f"d{n}" for n in range(DOCUMENTS)])
client = st.sampled_from([0, 1, None])
sometimes = st.integers(0, 3).map(lambda n: n == 0)


def stops(*places: str) -> st.SearchStrategy[frozenset[str]]:
    """Mostly nowhere."""
    return st.just(frozenset()) | st.frozensets(st.sampled_from(places), max_size=2)


Trouble: TypeAlias = Callable[[World, int], object]

TROUBLES: tuple[Trouble, ...] = (
    lambda world, which: world.begin_feed_anew(which),
    lambda world, _: world.postgres.trim(),
    lambda world, which: world.promote(which % 3),
    lambda world, _: world.crash(),
    lambda world, which: world.evict(which),
    lambda world, _: world.redis.values.clear(),
    lambda world, which: world.redis.spoil(which),
)
"""Each may do its worst in several ways, by a number."""


class Inside:
    """A thread that runs trio, for a test that cannot itself be a part of it."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self._ready, self._failures = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    def _run(self) -> None:
        clock = MockClock()
        try:
            trio.run(self._main, clock, clock=clock)
        except BaseException as error:  # noqa: BLE001  (raised again in the test's thread)
            self._failures.append(error)

    async def _main(self, clock: MockClock) -> None:
        self._token, self._over = trio.lowlevel.current_trio_token(), trio.Event()
        async with trio.open_nursery() as nursery:
            self.world = World(nursery, clock, INSTANCES, CLIENTS)
            await wait_all_tasks_blocked()
            self._ready.set()
            await self._over.wait()
            self.world.gates.remove()
            nursery.cancel_scope.cancel()
        self.world.redis.close()

    def do(self, action: Callable[[World], object]) -> None:
        """Do something and let all happen that comes of it."""
        if self._thread.is_alive():
            trio.from_thread.run(self._do, action, trio_token=self._token)
        self.check()

    async def _do(self, action: Callable[[World], object]) -> None:
        action(self.world)
        await wait_all_tasks_blocked()

    def check(self) -> None:
        """Raise what went wrong inside."""
        for error in (*self._failures, *self.world.wrong):
            raise error

    def close(self) -> None:
        """End it."""
        if self._thread.is_alive():
            trio.from_thread.run_sync(self._over.set, trio_token=self._token)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        for each in self.world.instances:
            self.requests += each.store.requests


class Machine(RuleBasedStateMachine):
    """What may happen."""

    total: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.inside = Inside()

    @initialize(is_deaf=st.booleans())
    def fill(self, *, is_deaf: bool) -> None:
        self.inside.do(lambda world: setattr(world.redis, "is_deaf", is_deaf))
        for one in range(DOCUMENTS):
            self.write(one, f"d{one}", frozenset(), None, lost=False, ends=False)
        self.pass_time(0.26)

    @rule(
        n=instance,
        one=document_id,
        where=stops("commit", "answer", "again", "redis before"),
        who=client,
        lost=sometimes,
        ends=sometimes,
    )
    def write(self, n: int, one: str, where: frozenset[str], who: int | None, *, lost: bool, ends: bool) -> None:
        plan = Plan(where, loses_answer=lost and not ends)
        self.inside.do(lambda world: world.write(n, one, plan, client=who, deletes=ends))

    @rule(
        n=instance,
        one=document_id,
        where=stops("before", "after", "late", "redis before", "redis after"),
        who=client,
        newest=sometimes,
    )
    def read(self, n: int, one: str, where: frozenset[str], who: int | None, *, newest: bool) -> None:
        self.inside.do(lambda world: world.read(n, one, Plan(where), client=who, newest=newest))

    @rule(one=document_id, who=client, order=st.permutations(range(INSTANCES)))
    def read_everywhere(self, one: str, who: int | None, order: list[int]) -> None:
        for n in order:
            self.inside.do(lambda world, n=n: world.read(n, one, Plan(), client=who, newest=False))  # type: ignore[misc]

    @rule(seconds=st.sampled_from([0.03, 0.1, 0.26, 0.26, 0.5, 0.9, 1.1]))
    def pass_time(self, seconds: float) -> None:
        self.inside.do(lambda world: world.clock.jump(seconds))

    @precondition(lambda self: len(self.inside.world.gates) > 0)
    @rule(which=number)
    def let_go_on(self, which: int) -> None:
        self.inside.do(lambda world: world.gates.open(which))

    @rule(which=number)
    def begin_or_end_foreign(self, which: int) -> None:
        self.inside.do(lambda world: world.foreign_transaction(which))

    @rule(n=instance, where=stops("before", "after"))
    def slow_feed(self, n: int, where: frozenset[str]) -> None:
        self.inside.do(lambda world: setattr(world.instances[n].feed_plan, "stops", where))

    @precondition(lambda self: self.inside.world.is_cut_off)
    @rule(n=instance)
    def connect(self, n: int) -> None:
        self.inside.do(lambda world: world.connect(n))

    @rule(which=st.integers(0, 35))
    def change_redis(self, which: int) -> None:
        self.inside.do(lambda world: world.redis.change(which))

    @rule(what=st.sampled_from(TROUBLES), which=number)
    def trouble(self, what: Trouble, which: int) -> None:
        self.inside.do(lambda world: what(world, which))

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.inside.check()

    def teardown(self) -> None:
        """Once all are well for a second, everybody shows what is there, and has begun to remember it."""
        try:
            for _ in range(4):
                self.inside.do(lambda world: world.heal())
            for _ in range(6):
                self.inside.do(lambda world: world.clock.jump(0.26))
            for _ in range(2):
                for n in range(INSTANCES):
                    for one in range(DOCUMENTS):
                        read = partial(World.read, number=n, document_id=f"d{one}", plan=Plan(), client=None)
                        self.inside.do(lambda world, read=read: read(world, newest=False))  # type: ignore[misc]
        finally:
            self.inside.close()
            type(self).total += self.inside.requests


def run(machine: type[Machine], examples: int, steps: int, *, finds: bool = False) -> None:
    phases = [Phase.generate] if finds else [Phase.explicit, Phase.generate, Phase.shrink]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with (
        patch.object(change_feed, "BACKFILL", 3),
        patch.object(change_feed, "AT_ONCE", 2),
        patch.object(memory, "LARGEST_SHARE", 1),
    ):
        run_state_machine_as_test(machine, settings=chosen)


REACHED = [("redis", "stale"), *product(("memory", "redis"), ("hit", "miss", "behind", "bypass"))]


def test_no_read_is_wrong_whatever_happens():
    class Counted(Machine):
        total: ClassVar[Counter[tuple[str, str]]] = Counter()

    # What hypothesis comes upon depends on which modules are loaded, too: it goes on until it has been everywhere.
    for examples in (150, 300, 600, 1200):
        run(Counted, examples=examples, steps=50)
        if all(Counted.total[each] > 10 for each in REACHED):
            return
    pytest.fail(f"too little of {set(REACHED) - set(+Counted.total)} in {Counted.total}")


@pytest.mark.parametrize("name", ["named since", "cleared"])
def test_it_finds_what_is_wrong_without_a_rule(name):
    with CONTROLS[name], pytest.raises(Wrong):
        run(Machine, examples=300, steps=50, finds=True)
