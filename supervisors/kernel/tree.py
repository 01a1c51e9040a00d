"""A tree from outside: open it, look at it, stop it."""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from supervisors.kernel.events import ActorEvent
from supervisors.kernel.host import Exit, Host
from supervisors.kernel.snapshot import Node, Snapshot
from supervisors.kernel.spec import Supervisor
from supervisors.kernel.supervisor import SupervisorLoop


class Tree:
    """An open tree. Made by `open_tree`; all methods belong to its trio thread."""

    def __init__(
        self,
        spec: Supervisor,
        rng: random.Random,
        on_event: Callable[[ActorEvent], None],
        wall: Callable[[], float],
    ) -> None:
        self._node = Node(spec, wall=wall)
        self._nodes = {node.path: node for node in self._node.walk()}
        self._on_event = on_event
        self._sink_failed = False
        self._exit: Exit | None = None
        self._started = trio.Event()
        self._finished = trio.Event()
        self._host = Host(self._node, None, self._emit, self._on_root)
        self._loop = SupervisorLoop(self._node, spec, None, rng, self._emit)

    def snapshot(self) -> Snapshot:
        """Copy the state of the whole tree; also after its end."""
        return self._node.snapshot()

    def started_value(self, path: str) -> object:
        """Give what the child last passed to `ctx.started(value)`; `KeyError` if the tree has no such path."""
        return self._nodes[path].value

    def fail_child(self, path: str, error: Exception) -> bool:
        """For tests of a program: cancel what runs at this path and let it count as a crash with this error.

        False if nothing runs there now, or it was failed already; `KeyError` if the tree has no such path.
        """
        host = self._nodes[path].host
        return host is not None and host.impose(error)

    def request_stop(self) -> None:
        """Ask for the ordered stop of the whole tree, without waiting for it."""
        if not self._host.asked and not self._host.ended:
            self._host.ask_to_stop()

    async def wait_finished(self) -> None:
        """Wait until nothing of the tree runs any more. Why it ended is raised by the block, not here."""
        await self._finished.wait()

    async def stop(self) -> None:
        """Stop in order and wait for the end; cancelling this wait does not take the request back."""
        self.request_stop()
        await self.wait_finished()

    async def wait_started(self) -> None:
        """Wait until every child has started once."""
        await self._started.wait()

    async def run(self) -> None:
        """Run the root to its end; raise what it ended with unless it was stopped. Called once, by `open_tree`."""
        try:
            await self._host.run(self._loop.run)
        finally:
            self._finished.set()
        if self._exit is not None and self._exit.error is not None:
            raise self._exit.error

    def _on_root(self, exit_: Exit | None) -> None:
        if exit_ is None:
            self._started.set()
        else:
            self._exit = exit_

    def _emit(self, event: ActorEvent) -> None:
        """Tell the callback. One that raises ends the tree, in order and with its error, and is not called again."""
        if self._sink_failed:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - raised by run(): the child that the event is about is not to blame
            self._sink_failed = True
            self._host.impose(error)


def _ignore(_event: ActorEvent) -> None:
    """Take an event that nobody asked for."""


@asynccontextmanager
async def open_tree(
    spec: Supervisor,
    *,
    rng: random.Random | None = None,
    on_event: Callable[[ActorEvent], None] = _ignore,
    wall: Callable[[], float] = time.time,
) -> AsyncIterator[Tree]:
    """Start a tree; the block runs once every child has started, and leaving it, however, stops the tree in order.

    A nursery in every respect: if the tree ends by itself the block is cancelled, and whatever goes wrong is raised
    at its end inside an exception group (`except* GiveUp`, `FirstStartFailed`, `LeashRanOut`, what `on_event` raised,
    ...). A cancellation from outside stops the tree in order as well: no shield outlasts the `stop_budget_s` of the
    spec, except around children that ignore their own cancellation.

    `rng` draws the back-off delays; `on_event` is called with every event (see `events`); `wall` gives the time for
    people.
    """
    # Not cryptography: jitter that spreads restarts.
    tree = Tree(spec, rng or random.Random(), on_event, wall)  # noqa: S311
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run, name=spec.name)
        try:
            await tree.wait_started()
            yield tree
        finally:
            tree.request_stop()


async def run_tree(
    spec: Supervisor,
    *,
    rng: random.Random | None = None,
    on_event: Callable[[ActorEvent], None] = _ignore,
    wall: Callable[[], float] = time.time,
) -> None:
    """Open a tree and stay in it until it fails or is cancelled; see `open_tree`."""
    async with open_tree(spec, rng=rng, on_event=on_event, wall=wall) as tree:
        await tree.wait_finished()
