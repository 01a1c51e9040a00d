"""The specification of a tree: immutable data that is refused at construction if it can never work."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from supervisors.kernel.backoff import Backoff, longest_total_s
from supervisors.kernel.checks import require_name, require_positive
from supervisors.kernel.context import Context
from supervisors.kernel.errors import SpecError
from supervisors.kernel.intensity import Intensity
from supervisors.kernel.leash import Leash
from supervisors.kernel.strategy import Restart, Strategy

# A child that drained for the whole of its `shutdown_s` is cancelled and gets this long to leave.
DRAIN_GRACE_S = 1.0
# What a supervisor may need for itself, on top of its children, before its own parent calls it too slow.
SUPERVISOR_SLACK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One actor: an async function that says `ctx.started()` and then works until it is cancelled.

    Contract of every option: README.md beside this file.
    """

    name: str
    run: Callable[[Context], Awaitable[None]]
    restart: Restart = Restart.PERMANENT
    start_s: float = 10.0
    shutdown_s: float = 5.0
    stop: Literal["cancel", "drain"] = "cancel"
    backoff: Backoff = field(default_factory=Backoff)
    why: str = ""

    def __post_init__(self) -> None:
        require_name("Child", self.name)
        require_positive(f"Child {self.name!r}", start_s=self.start_s, shutdown_s=self.shutdown_s)
        if self.stop not in ("cancel", "drain"):
            raise SpecError(f"Child {self.name!r}: stop={self.stop!r} must be 'cancel' or 'drain'")
        if not callable(self.run):
            raise SpecError(f"Child {self.name!r}: run={self.run!r} must be an async function of one Context")

    @property
    def stop_budget_s(self) -> float:
        """The longest time that an ordered stop waits for this child before it goes on without it."""
        return self.shutdown_s + (DRAIN_GRACE_S if self.stop == "drain" else 0.0)

    @property
    def longest_crash_loop_s(self) -> float:
        """The back-off delay that can pass below this child before it ends: a child that crashes does so at once."""
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """Children in start order, and what happens when one of them ends. A supervisor is a child like any other.

    Contract of every option: README.md beside this file.
    """

    name: str
    children: tuple["Child | Supervisor", ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = field(default_factory=Intensity)
    restart: Restart = Restart.PERMANENT
    backoff: Backoff = field(default_factory=Backoff)
    leash: Leash | None = None
    why: str = ""

    def __post_init__(self) -> None:
        require_name("Supervisor", self.name)
        if not isinstance(self.children, tuple):
            raise SpecError(f"Supervisor {self.name!r}: children={self.children!r} must be a tuple, in start order")
        if not (self.leash is None or isinstance(self.leash, Leash)):
            raise SpecError(f"Supervisor {self.name!r}: leash={self.leash!r} must be a Leash or None")
        self._refuse_equal_names()
        for child in self.children:
            self._refuse_short_window(child)

    def _refuse_equal_names(self) -> None:
        names = (child.name for child in self.children)
        if twice := sorted(name for name, count in Counter(names).items() if count > 1):
            raise SpecError(f"Supervisor {self.name!r}: children share a name: {', '.join(twice)}")

    def _refuse_short_window(self, child: "Child | Supervisor") -> None:
        if child.restart is Restart.TEMPORARY:
            return
        allowed_s = _crash_loop_s(self.intensity, child, exits=self.intensity.max_restarts)
        if allowed_s >= self.intensity.within_s:
            raise SpecError(
                f"Supervisor {self.name!r}: within_s={self.intensity.within_s:g} is not longer than the"
                f" {allowed_s:g} s of back-off that max_restarts={self.intensity.max_restarts} allows child"
                f" {child.name!r} (base_s={child.backoff.base_s:g}, cap_s={child.backoff.cap_s:g}):"
                " it could crash for ever and never reach the limit"
            )

    @property
    def stop_budget_s(self) -> float:
        """The longest time that an ordered stop of this supervisor takes before its parent goes on without it."""
        return sum(child.stop_budget_s for child in self.children) + SUPERVISOR_SLACK_S

    @property
    def longest_crash_loop_s(self) -> float:
        """The longest back-off that can pass from this supervisor's start until a child that only crashes ends it."""
        return max(
            (
                _crash_loop_s(self.intensity, child, exits=self.intensity.max_restarts + 1)
                for child in self.children
                if child.restart is not Restart.TEMPORARY
            ),
            default=0.0,
        )


def _crash_loop_s(intensity: Intensity, child: Child | Supervisor, *, exits: int) -> float:
    """Add up `max_restarts` back-off delays of the child and, `exits` times, those that pass inside it."""
    return longest_total_s(child.backoff, intensity.max_restarts) + exits * child.longest_crash_loop_s
