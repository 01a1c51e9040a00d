"""Supervision trees for trio: what runs, in which order, and what happens when a part of it dies.

Not guaranteed: that a task can be ended. One that ignores cancellation is reported and left behind, and holds up the
end of its tree; the owner of the process needs a deadline of its own. Nor that an exit is noticed while the event
loop is blocked.

Guaranteed, each by a test that bears its name: README.md beside this file.
"""

from supervisors.kernel.backoff import Backoff
from supervisors.kernel.context import Context
from supervisors.kernel.errors import (
    FatalExit,
    FirstStartFailed,
    GiveUp,
    LeashRanOut,
    SpecError,
    StartTimedOut,
    UnexpectedReturn,
    describe,
)
from supervisors.kernel.events import ActorEvent, ChildExited, ChildRestarting, ChildStarted, GaveUp, StopTooSlow
from supervisors.kernel.intensity import Intensity
from supervisors.kernel.leash import Leash, LeashHandle
from supervisors.kernel.snapshot import Snapshot, State
from supervisors.kernel.spec import DRAIN_GRACE_S, Child, Supervisor
from supervisors.kernel.strategy import ExitReason, Restart, Strategy
from supervisors.kernel.tree import Tree, open_tree, run_tree

__all__ = [
    "DRAIN_GRACE_S",
    "ActorEvent",
    "Backoff",
    "Child",
    "ChildExited",
    "ChildRestarting",
    "ChildStarted",
    "Context",
    "ExitReason",
    "FatalExit",
    "FirstStartFailed",
    "GaveUp",
    "GiveUp",
    "Intensity",
    "Leash",
    "LeashHandle",
    "LeashRanOut",
    "Restart",
    "Snapshot",
    "SpecError",
    "StartTimedOut",
    "State",
    "StopTooSlow",
    "Strategy",
    "Supervisor",
    "Tree",
    "UnexpectedReturn",
    "describe",
    "open_tree",
    "run_tree",
]
