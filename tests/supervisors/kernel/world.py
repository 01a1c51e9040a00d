"""A random tree that is driven step by step from outside, and compared with the truth at every step.

The actors know themselves when they run; the kernel says what it believes by events (read by the oracle) and snapshots.
"""

import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervisors.kernel import (
    ChildExited,
    ChildStarted,
    Context,
    LeashHandle,
    Snapshot,
    State,
    Strategy,
    Supervisor,
    Tree,
    open_tree,
)
from tests.supervisors.kernel.oracle import Oracle, flat

ALIVE = {State.STARTING, State.STANDBY, State.RUNNING, State.STOPPING, State.STUCK}
# Longer than any ordered stop plus the slowest clean-up of the random trees.
PATIENCE_S = 500.0


class Boom(Exception):
    """Raised by an actor; each one is unique."""


class Actor:
    """One leaf, which does as it was told last when it comes to it."""

    def __init__(self) -> None:
        self.world: World
        self.start: float | str = 0.0
        """Seconds until it says that it started, or "fail", or "silent", or "standby"."""
        self.clean_up_s = 0.0
        self.fails_clean_up = False
        self.path = ""
        self.running = self.is_up = self.leaving = self.stands_by = False
        self.leash: LeashHandle | None = None
        self.began_at = 0.0
        self._order = ""
        self._ordered: trio.Event
        self._ctx: Context

    async def run(self, ctx: Context) -> None:
        self.world.oracle.expect(not self.running, f"two instances of {ctx.name}")
        self.leash, self._ctx, self._ordered, self._order = ctx.leash, ctx, trio.Event(), ""
        self.running, self.leaving, self.began_at = True, False, trio.current_time()
        self.world.on_begin(self)
        own_end = False
        try:
            if self.start == "fail":
                own_end = True
                raise self.world.boom(self.path)
            if self.start == "standby":
                await self._stand_by()
            else:
                await trio.sleep(1e6 if self.start == "silent" else float(self.start))
            ctx.started()
            self.is_up = not ctx.stop_requested.is_set()
            self.world.ups[self.path] += self.is_up
            await self._work()
            own_end = bool(self._order)
            if self._order == "crash":
                raise self.world.boom(self.path)
        finally:
            self.leaving = True
            if not own_end:
                await self._leave()
            self.running = self.is_up = self.stands_by = False

    async def _stand_by(self) -> None:
        self._ctx.standby()
        self.stands_by = not self._ctx.stop_requested.is_set()
        if self.stands_by:
            self.world.oracle.runs[self.above].begun.add(self.path)
        await self._ordered.wait()
        self.stands_by, self._ordered = False, trio.Event()

    async def _work(self) -> None:
        """Wait for an order; one that drains, for a request to stop too."""
        if self.world.oracle.specs[self.path].stop == "cancel":  # type: ignore[union-attr]
            await self._ordered.wait()
            return
        async with trio.open_nursery() as nursery:

            async def first(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, self._ordered)
            nursery.start_soon(first, self._ctx.stop_requested)
        if not self._order:
            self.world.on_asked(self)
            await trio.sleep(self.clean_up_s)

    async def _leave(self) -> None:
        silent = not self.is_up and trio.current_time() - self.began_at >= self.start_s - 1e-6
        if not silent:
            self.world.on_asked(self)
        if self.clean_up_s:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.clean_up_s)
        if self.fails_clean_up:
            self.running = self.is_up = self.stands_by = False
            raise self.world.boom(self.path)

    @property
    def above(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def start_s(self) -> float:
        return self.world.oracle.specs[self.path].start_s  # type: ignore[union-attr]

    def tell(self, order: str) -> None:
        """Make it "crash" or "return", if it is up; one that stands by goes on then, and does it at once."""
        if (self.is_up or self.stands_by) and not self.leaving:
            self._order = order
            self._ordered.set()


class World:
    """A tree in a trio thread of its own, on a clock that moves only when told to."""

    def __init__(self, spec: Supervisor, actors: list[Actor], seed: int) -> None:
        self.oracle = Oracle(spec)
        self.actors: dict[str, Actor] = {}
        self.tree: Tree | None = None
        self.outcome: Exception | None = None
        self.finished = False
        self.booms: list[Boom] = []
        self.begins: Counter[str] = Counter()
        self.ups: Counter[str] = Counter()
        self.outer = trio.CancelScope()
        leaves = [path for path, leaf in self.oracle.specs.items() if not isinstance(leaf, Supervisor)]
        for path, actor in zip(leaves, actors, strict=True):
            actor.path, actor.world, self.actors[path] = path, self, actor
        self._clock = MockClock()
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=trio.run, args=(self._main, spec, seed), kwargs={"clock": self._clock}, daemon=True
        )
        self._thread.start()
        assert self._ready.wait(10)
        self.do(wait_all_tasks_blocked)

    async def _main(self, spec: Supervisor, seed: int) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._quit = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._play, spec, seed)
            self._ready.set()
            await self._quit.wait()

    async def _play(self, spec: Supervisor, seed: int) -> None:
        try:
            with self.outer:
                async with open_tree(spec, rng=random.Random(seed), on_event=self.oracle.on_event) as self.tree:
                    await self.tree.wait_finished()
        except Exception as error:  # noqa: BLE001 - compared with what the root ended with
            self.outcome = error
        self.finished = True

    def do(self, step: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run one step in the trio thread and let everything settle."""
        trio.from_thread.run(step, *args, trio_token=self._token)

    def act(self, action: Callable[[], object]) -> None:
        async def step() -> None:
            action()
            await wait_all_tasks_blocked()

        self.do(step)

    def advance(self, seconds: float) -> None:
        """Let time pass from deadline to deadline, and check after each."""
        self.do(self._advance, seconds)

    async def _advance(self, seconds: float) -> None:
        end = trio.current_time() + seconds
        while True:
            await wait_all_tasks_blocked()
            self._check()
            gap = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if trio.current_time() + gap > end:
                break
            self._clock.jump(max(0.0, gap))
        self._clock.jump(max(0.0, end - trio.current_time()))
        await wait_all_tasks_blocked()

    def check(self) -> None:
        async def step() -> None:
            self._check()

        self.do(step)
        assert not self.oracle.failures, "\n".join([*self.oracle.failures[:9], *map(str, self.oracle.events)])

    def close(self) -> None:
        """Stop, wait for the end, and check what must be true of a whole life."""
        try:
            self.act(self.outer.cancel)
            self.advance(PATIENCE_S)
            self.do(self._check_end)
            self.check()
        finally:
            self._token.run_sync_soon(self._quit.set)
            self._thread.join(10)

    # --- what the actors do ---

    def boom(self, path: str) -> Boom:
        """An error that must be found again."""
        self.booms.append(Boom(f"{path} #{len(self.booms)}"))
        return self.booms[-1]

    def fail(self, path: str) -> None:
        assert self.tree
        boom = self.boom(path)
        if self.tree.fail_child(path, boom):
            self.oracle.runs[path].ending = True
        else:
            self.booms.remove(boom)

    def runs_now(self, path: str) -> bool:
        return any(actor.running for leaf, actor in self.actors.items() if f"{leaf}/".startswith(f"{path}/"))

    def on_begin(self, actor: Actor) -> None:
        """A child begins when all before it are up, and none behind it runs."""
        self.begins[actor.path] += 1
        oracle, path, now = self.oracle, actor.path, trio.current_time()
        above = path.rpartition("/")[0]
        if actor.leash is not None:
            self._note_leash(above, actor.leash)
        run = oracle.runs[above]
        oracle.expect(path not in run.finished, f"{path} began although it had ended for good")
        before, after = oracle.siblings(path)
        if oracle.supervisor(above).strategy is Strategy.ONE_FOR_ONE:
            in_order = path in run.begun or run.begun >= set(before)
            oracle.expect(in_order, f"{path} began before {set(before) - run.begun}")
            return
        for other in before:
            just_ended = other in oracle.last_exit and oracle.last_exit[other].at == now
            in_order = other in oracle.up or other in run.finished or just_ended
            oracle.expect(in_order, f"{path} began although {other} is not up")
        for other in after:
            oracle.expect(not self.runs_now(other) or other in oracle.stuck, f"{path} began although {other} runs")

    def _note_leash(self, above: str, leash: LeashHandle) -> None:
        """The nearest supervisor with a leash is the one that it belongs to, the next one has the leash above it.

        The first child sees their first lengths; a supervisor may have no child of its own that could.
        """
        handle: LeashHandle | None = leash
        while handle is not None:
            while self.oracle.supervisor(above).leash is None:
                above = above.rpartition("/")[0]
            self.oracle.leash_ends.setdefault(above, handle._own_deadline)
            handle, above = handle._outer, above.rpartition("/")[0]

    def on_asked(self, actor: Actor) -> None:
        """A child is asked to stop when all behind it have ended, or were reported."""
        oracle = self.oracle
        if oracle.leash_is_out(actor.path.rpartition("/")[0]):
            return
        for other in oracle.siblings(actor.path)[1]:
            in_order = not self.runs_now(other) or other in oracle.stuck
            oracle.expect(in_order, f"{actor.path} was asked to stop although {other} runs")

    # --- what must be true whenever everything has settled ---

    def _check(self) -> None:
        oracle = self.oracle
        for path, actor in self.actors.items():
            idle_too_long = actor.running and not actor.leaving and oracle.leash_is_out(path.rpartition("/")[0])
            oracle.expect(not idle_too_long, f"{path} runs although its leash ran out")
            waits = actor.is_up or actor.stands_by or actor.leaving
            silent = actor.running and not waits and not oracle.is_ending(actor.above)
            too_long = silent and trio.current_time() - actor.began_at > actor.start_s + 1e-6
            oracle.expect(not too_long, f"{path} has been silent since {actor.began_at}")
        if self.tree is not None:
            for node in self.tree.snapshot().walk():
                self._check_node(node)

    def _check_node(self, node: Snapshot) -> None:
        oracle, now = self.oracle, trio.current_time()
        if node.path in self.actors:
            actor = self.actors[node.path]
            oracle.expect((node.state in ALIVE) is actor.running, f"{node.path} is {node.state}, runs: {actor.running}")
            oracle.expect(node.state is not State.RUNNING or actor.is_up, f"{node.path} is not up")
            oracle.expect(node.state is not State.STARTING or not actor.is_up, f"{node.path} is up")
            oracle.expect(
                (node.state is State.STANDBY) is (actor.stands_by and not actor.leaving), f"{node.path} waits?"
            )
            return
        if node.state not in (State.RUNNING, State.STARTING) or oracle.is_ending(node.path):
            return
        run, states = oracle.runs[node.path], {child.path: child.state for child in node.children}
        oracle.expect(not run.undecided, f"{run.undecided} ended and nobody cares")
        for path, state in states.items():
            if state is State.FINISHED:
                oracle.expect(path in run.finished, f"{path} does not come back")
            if state is State.BACKOFF:
                oracle.expect(now < run.due[path], f"{path} is in back-off after its time")
        down = [path for path, state in states.items() if state is State.DOWN]
        busy = {State.STARTING, State.STANDBY, State.STOPPING, State.STUCK, State.BACKOFF}
        if oracle.supervisor(node.path).strategy is Strategy.ONE_FOR_ONE:
            oracle.expect(not run.begun & set(down), f"{run.begun & set(down)} of {node.path} are forgotten")
            busy -= {State.BACKOFF}
        oracle.expect(not down or busy & set(states.values()), f"{node.path} does nothing for {down}")

    async def _check_end(self) -> None:
        oracle = self.oracle
        oracle.expect(self.finished, "the tree did not end")
        oracle.expect(not any(actor.running for actor in self.actors.values()), "something is left running")
        if self.tree is not None:
            states = {node.state for node in self.tree.snapshot().walk()}
            oracle.expect(states <= {State.DOWN, State.FINISHED}, f"the end finds {states}")
        exits = [event for event in oracle.events if isinstance(event, ChildExited)]
        starts = Counter(event.path for event in oracle.events if isinstance(event, ChildStarted))
        for path in self.actors:
            oracle.expect(starts[path] == self.ups[path], f"{path}: {starts[path]} starts of {self.ups[path]}")
            ended = sum(event.path == path for event in exits)
            oracle.expect(ended == self.begins[path], f"{path}: {ended} exits of {self.begins[path]}")
        leaves = [leaf for event in exits for leaf in flat(event.error)]
        for boom in self.booms:
            found = sum(leaf is boom for leaf in leaves)
            oracle.expect(found == 1, f"{boom!r} was reported {found} times")
        root = exits[-1]
        # By leaves: trio makes copies of groups while it takes cancellations out of them.
        same = flat(self.outcome) == flat(root.error) and root.path.count("/") == 0
        oracle.expect(same, f"raised {self.outcome!r}, ended with {root.error!r}")
