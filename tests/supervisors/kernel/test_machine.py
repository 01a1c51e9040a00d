"""Random trees, crashes, slow stops, silent starts, leashes and cancellations, in any order and at any time.

Invariants: start in order, stop in reverse, nothing left running, at most one instance of a child at any time,
intensity exact, no exception lost or swallowed, nobody delayed by a back-off, a leash that runs out ends every child
under it. They are stated in oracle.py and world.py.
"""

import math
import os
from typing import Any

import hypothesis.strategies as st
import trio
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisors.kernel import Backoff, Child, Intensity, Leash, Restart, SpecError, Strategy, Supervisor
from tests.supervisors.kernel.world import Actor, World

# `KERNEL_EXAMPLES=5000 ./dev pytest tests/supervisors/kernel/test_machine.py` searches longer.
EXAMPLES = int(os.environ.get("KERNEL_EXAMPLES", "100"))

BACKOFFS = st.sampled_from([Backoff(base_s=0), Backoff(base_s=0.5, cap_s=3, healthy_s=4), Backoff(base_s=7, cap_s=7)])
RESTARTS: st.SearchStrategy[float | str] = st.sampled_from(
    [Restart.PERMANENT, Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY]
)
STARTS: st.SearchStrategy[float | str] = st.sampled_from([0.0, 0.0, 0.0, 0.25, 1.75, "fail", "silent", "standby"])
SLOW_STARTS: st.SearchStrategy[float | str] = st.sampled_from([0.0, 0.0, 0.25, 1.75, "standby"])
CLEAN_UPS = st.sampled_from([0.0, 0.0, 0.5, 2.25, 30.0])


@st.composite
def leaves(draw: Any) -> tuple[Child, list[Actor]]:
    actor = Actor()
    child = Child(
        name="leaf",
        run=actor.run,
        restart=draw(RESTARTS),
        start_s=3.0,
        shutdown_s=draw(st.sampled_from([1.0, 3.0])),
        stop=draw(st.sampled_from(["cancel", "drain"])),
        backoff=draw(BACKOFFS),
    )
    return child, [actor]


def renamed(spec: Child | Supervisor, name: str) -> Child | Supervisor:
    fields = {field: getattr(spec, field) for field in spec.__dataclass_fields__}
    return type(spec)(**{**fields, "name": name})


@st.composite
def supervisors(
    draw: Any, below: st.SearchStrategy[Any], leashes: st.SearchStrategy[Leash | None]
) -> tuple[Supervisor, list[Actor]]:
    parts = draw(st.lists(below, min_size=1, max_size=4))
    children = tuple(renamed(spec, f"{'ls'[isinstance(spec, Supervisor)]}{n}") for n, (spec, _) in enumerate(parts))
    options: dict[str, Any] = {
        "strategy": draw(st.sampled_from(Strategy)),
        "restart": draw(RESTARTS),
        "backoff": draw(BACKOFFS),
        "leash": draw(leashes),
    }
    max_restarts, within_s = draw(st.sampled_from([30, 2, 1, 0, 7])), draw(st.sampled_from([1.0, 10.0, 40.0]))
    while True:
        try:
            intensity = Intensity(max_restarts=max_restarts, within_s=within_s)
            spec = Supervisor(name="top", children=children, intensity=intensity, **options)
        except SpecError:
            within_s *= 3  # shorter than the delays that it allows
        else:
            return spec, [actor for _, actors in parts for actor in actors]


LEASHES: st.SearchStrategy[Leash | None] = st.sampled_from([None, None, None, Leash(), Leash(first_s=6.0)])
INNER = supervisors(st.one_of(leaves(), leaves(), supervisors(leaves(), LEASHES)), LEASHES)
TREES = supervisors(st.one_of(leaves(), leaves(), INNER), st.none())


class TreeMachine(RuleBasedStateMachine):
    world: World | None = None

    @initialize(tree=TREES, seed=st.integers(0, 2**32), data=st.data())
    def open(self, tree: tuple[Supervisor, list[Actor]], seed: int, data: st.DataObject) -> None:
        spec, actors = tree
        for actor in actors:
            actor.start = data.draw(STARTS if data.draw(st.integers(0, 9)) == 9 else SLOW_STARTS)
        self.world = World(spec, actors, seed)

    def any_actor(self, pick: int) -> Actor:
        assert self.world
        return list(self.world.actors.values())[pick % len(self.world.actors)]

    def leashed(self) -> list[Actor]:
        return [a for a in self.world.actors.values() if a.running and a.leash] if self.world else []

    @rule(pick=st.integers(0, 99), then=st.sampled_from([0.0, 0.1, 0.75, 5.0]))
    def crash_one(self, pick: int, then: float) -> None:
        assert self.world
        actor = self.any_actor(pick)
        self.world.act(lambda: actor.tell("crash"))
        self.world.advance(then)

    @rule(pick=st.integers(0, 99))
    def let_one_return(self, pick: int) -> None:
        assert self.world
        actor = self.any_actor(pick)
        self.world.act(lambda: actor.tell("return"))

    @rule(pick=st.integers(0, 99), then=st.sampled_from([0.0, 0.5]))
    def let_one_go_on(self, pick: int, then: float) -> None:
        assert self.world
        if waiting := [actor for actor in self.world.actors.values() if actor.stands_by]:
            self.world.act(lambda: waiting[pick % len(waiting)].tell(""))
            self.world.advance(then)

    @rule(picks=st.lists(st.integers(0, 99), min_size=2, max_size=4))
    def crash_several_in_one_tick(self, picks: list[int]) -> None:
        assert self.world
        actors = [self.any_actor(pick) for pick in picks]

        def crash() -> None:
            for actor in actors:
                actor.tell("crash")

        self.world.act(crash)

    @rule(pick=st.integers(0, 99), seconds=CLEAN_UPS, fails=st.booleans())
    def prepare_the_stop_of_one(self, pick: int, seconds: float, fails: bool) -> None:  # noqa: FBT001
        actor = self.any_actor(pick)
        actor.clean_up_s, actor.fails_clean_up = seconds, fails

    @rule(pick=st.integers(0, 99), start=STARTS)
    def prepare_the_start_of_one(self, pick: int, start: float | str) -> None:
        self.any_actor(pick).start = start

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.5, 9.0, 60.0]))
    def let_time_pass(self, seconds: float) -> None:
        assert self.world
        self.world.advance(seconds)

    @precondition(lambda self: bool(self.leashed()))
    @rule(pick=st.integers(0, 99), seconds=st.sampled_from([0.5, 3.0, 20.0]), cut=st.integers(0, 3))
    def move_a_leash(self, pick: int, seconds: float, cut: int) -> None:
        assert self.world
        world, holders = self.world, self.leashed()
        actor = holders[pick % len(holders)]

        def move() -> None:
            assert actor.leash is not None
            now, owner = trio.current_time(), actor.path.rpartition("/")[0]
            while world.oracle.supervisor(owner).leash is None:
                owner = owner.rpartition("/")[0]
            ends = world.oracle.leash_ends
            if cut == 0:
                actor.leash.cut()
                ends[owner] = min(ends[owner], now)
            else:
                alive = not world.oracle.leash_is_out(owner)
                world.oracle.expect(actor.leash.extend(now + seconds) is alive, f"extension of {owner}, {alive=}")
                if alive:
                    ends[owner] = now + seconds if ends[owner] == math.inf else max(ends[owner], now + seconds)

        world.act(move)

    @precondition(lambda self: self.world and self.world.tree)
    @rule(pick=st.integers(0, 99))
    def fail_a_supervisor(self, pick: int) -> None:
        assert self.world
        world = self.world
        # The root seldom: its end leaves nothing to be done.
        paths = [path for path, spec in world.oracle.specs.items() if isinstance(spec, Supervisor)][::-1]
        path = paths[min(pick, len(paths) - 1) if pick > 90 else pick % max(1, len(paths) - 1)]

        world.act(lambda: world.fail(path))

    @precondition(lambda self: self.world and self.world.tree)
    @rule(rarely=st.integers(0, 19))
    def stop(self, rarely: int) -> None:
        assert self.world
        assert self.world.tree
        if rarely == 19:
            self.world.act(self.world.tree.request_stop)

    @rule(rarely=st.integers(0, 19))
    def cancel_from_outside(self, rarely: int) -> None:
        assert self.world
        if rarely == 19:
            self.world.act(self.world.outer.cancel)

    @invariant()
    def holds(self) -> None:
        if self.world:
            self.world.check()

    def teardown(self) -> None:
        if self.world:
            self.world.close()


TestTreeMachine = TreeMachine.TestCase
TestTreeMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
