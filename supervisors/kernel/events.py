"""What happened in a tree, as values: logs and metrics are made from these and from nothing else.

Events arrive in the order in which things happened, while they happen, in the tree's own trio task: a callback must
return at once and must not raise. `at` is trio's clock.
"""

from dataclasses import dataclass

from supervisors.kernel.errors import GiveUp
from supervisors.kernel.strategy import ExitReason


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A child called `ctx.started()`; `restarts` counts the times that it had been started again before."""

    path: str
    at: float
    restarts: int


@dataclass(frozen=True, slots=True)
class ChildExited:
    """One run of a child is over. Every exception that leaves a child is the `error` of exactly one of these.

    `asked`: its supervisor had asked it to stop (its error, if any, comes from its clean-up and changes nothing).
    `up_s`: seconds since it started, None if it never did.
    """

    path: str
    at: float
    reason: ExitReason
    error: BaseException | None
    asked: bool
    up_s: float | None


@dataclass(frozen=True, slots=True)
class ChildRestarting:
    """A child will be started again, not before `delay_s` from now.

    `because_of`: the child whose exit is the reason; another one's path when their strategy ties them together.
    """

    path: str
    at: float
    delay_s: float
    because_of: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """A supervisor's intensity is used up: it stops its children and then ends with `error`."""

    path: str
    at: float
    error: GiveUp


@dataclass(frozen=True, slots=True)
class StopTooSlow:
    """A child did not end within its time: the others go on without it, and it is started again only once it has ended.

    Nothing inside a process can end a task that ignores cancellation. `for_restart`: its supervisor goes on working, so
    this child is missing from a live tree until it ends; the owner of the process decides whether that is acceptable.
    """

    path: str
    at: float
    waited_s: float
    for_restart: bool


ActorEvent = ChildStarted | ChildExited | ChildRestarting | GaveUp | StopTooSlow
