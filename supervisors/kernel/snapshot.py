"""The state of a tree: nodes that the kernel writes, and immutable snapshots of them for everyone else."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import trio

from supervisors.kernel.spec import Child, Supervisor
from supervisors.kernel.strategy import Restart, Strategy

if TYPE_CHECKING:
    from supervisors.kernel.host import Host


class State(Enum):
    """Where a child is in its life."""

    DOWN = "down"
    """Nothing runs: not yet its turn, or its supervisor is not up."""
    STARTING = "starting"
    """Runs, and has not called `ctx.started()` yet."""
    STANDBY = "standby"
    """Runs, and waits for what it needs (`ctx.standby()`); those after it wait with it."""
    RUNNING = "running"
    BACKOFF = "backoff"
    """Waits for its restart."""
    STOPPING = "stopping"
    """Was asked to stop and has not ended yet."""
    STUCK = "stuck"
    """Did not end within its time (`StopTooSlow`), and still runs."""
    FINISHED = "finished"
    """Ended, and its restart type says that it stays so."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One node of a tree at one moment."""

    name: str
    path: str
    why: str
    state: State
    restart: Restart
    strategy: Strategy | None
    """None: a child, not a supervisor."""
    restarts: int
    """How often it was started again since the tree was opened, with its supervisors' restarts."""
    last_error: str | None
    """Type and first line of the last exception that it ended with."""
    since: float
    """When it entered its state, on trio's clock."""
    since_wall: float
    """The same in seconds since the epoch, for people."""
    children: tuple["Snapshot", ...]

    def walk(self) -> Iterator["Snapshot"]:
        """Give this node and all below it, in start order."""
        yield self
        for child in self.children:
            yield from child.walk()


class Node:
    """The record of one place in the tree; it outlives every run of the child and of the supervisors above."""

    __slots__ = (
        "children",
        "host",
        "last_error",
        "path",
        "since",
        "since_wall",
        "spec",
        "starts",
        "state",
        "value",
        "wall",
    )

    def __init__(self, spec: Child | Supervisor, above: str = "", wall: Callable[[], float] = time.time) -> None:
        self.spec = spec
        self.path = f"{above}{spec.name}"
        self.wall = wall
        below = spec.children if isinstance(spec, Supervisor) else ()
        self.children = tuple(Node(child, f"{self.path}/", wall) for child in below)
        self.host: Host | None = None
        self.starts = 0
        self.value: object = None
        self.last_error: str | None = None
        self.enter(State.DOWN)

    def enter(self, state: State) -> None:
        """Change the state and note the time."""
        self.state = state
        self.since = trio.current_time()
        self.since_wall = self.wall()

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.starts - 1)

    def snapshot(self) -> Snapshot:
        """Copy this node and all below it."""
        spec = self.spec
        return Snapshot(
            name=spec.name,
            path=self.path,
            why=spec.why,
            state=self.state,
            restart=spec.restart,
            strategy=spec.strategy if isinstance(spec, Supervisor) else None,
            restarts=self.restarts,
            last_error=self.last_error,
            since=self.since,
            since_wall=self.since_wall,
            children=tuple(child.snapshot() for child in self.children),
        )

    def walk(self) -> Iterator["Node"]:
        """Give this node and all below it, in start order."""
        yield self
        for child in self.children:
            yield from child.walk()
