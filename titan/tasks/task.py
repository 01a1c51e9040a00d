"""A task, one run of it, and how that ended."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from titan.store.contract import Fence, Store
from titan.store.tasks import Figure


@dataclass(frozen=True, slots=True)
class Run:
    """What one run works with."""

    store: Store
    fence: Fence
    """Of the term: every effect carries it."""
    now_ms: int
    """Wall time by the database's clock: ages are compared with this and never with the clock of this machine."""


@dataclass(frozen=True, slots=True)
class Done:
    """It did what it was to do; `detail` says in a few words what that was."""

    detail: str
    figures: Sequence[Figure] | None = None
    """What it counted, to be kept instead of all figures before."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not, for a reason that may pass."""

    reason: str


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the table of tasks (`titan.tasks.table`)."""

    name: str
    role: str
    """Whose leader does it."""
    every_s: float
    """From one start to the next."""
    work: Callable[[Run], Awaitable[Done | Failed]]
    """May raise `Deposed` and `StoreUnavailable`; cancelled at the end of a term."""
    why: str
    """What it is good for, in one line."""
