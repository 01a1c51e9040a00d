"""A movable deadline above everything that works for a term (a lease, a licence, a time slot).

Not guaranteed: that work has ended when the deadline passes. A cancelled child still runs its clean-up, and one that
ignores cancellation runs on; whoever needs more than that needs a fencing token where the work takes effect.

Guaranteed: at the deadline trio itself cancels every child below, without any code of the supervisor having to run
first, because the deadline is copied into each child's own scope. A leash that ran out stays so: it belongs to one
run of its supervisor, and the next run gets a new one, so a child left over from an old term cannot prolong the new
one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakSet

import trio

from supervisors.kernel.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Leash:
    """Puts a supervisor on a leash: it runs out `first_s` seconds after the supervisor's start unless extended.

    The default is for children that first have to win what they extend the leash by.
    """

    first_s: float = math.inf

    def __post_init__(self) -> None:
        if not self.first_s > 0:
            raise SpecError(f"Leash: first_s={self.first_s:g} must be above 0")


class LeashHandle:
    """The leash of one run of a supervisor, as its children hold it (`ctx.leash`)."""

    def __init__(self, leash: Leash, outer: "LeashHandle | None", wake: Callable[[], None]) -> None:
        self._own_deadline = trio.current_time() + leash.first_s
        self._outer = outer
        self._wake = wake
        self._scopes: set[trio.CancelScope] = set()
        self._inner: WeakSet[LeashHandle] = WeakSet()  # a run that is over leaves by itself
        if outer is not None:
            outer._inner.add(self)  # noqa: SLF001 - same class

    @property
    def deadline(self) -> float:
        """When everything below is cancelled, on trio's clock: the earliest of this leash and those above it."""
        return self._own_deadline if self._outer is None else min(self._own_deadline, self._outer.deadline)

    def has_run_out(self) -> bool:
        """Say whether the deadline has passed; once true, always true."""
        return trio.current_time() >= self.deadline

    def extend(self, deadline: float) -> bool:
        """Move the end to `deadline` on trio's clock, never to an earlier time; False if it has already run out.

        An endless leash gets its end by the first extension, once what it stands for has been won. Take `deadline` from
        the clock as it was *before* the renewal was asked for.
        """
        if self.has_run_out():
            return False
        self._own_deadline = deadline if self._own_deadline == math.inf else max(self._own_deadline, deadline)
        self._copy_to_scopes()
        return True

    def cut(self) -> None:
        """Let it run out now, for a holder that learned that its term is over."""
        self._own_deadline = min(self._own_deadline, trio.current_time())
        self._copy_to_scopes()
        self._wake()

    def hold(self, scope: trio.CancelScope) -> None:
        """Copy the deadline into this scope, now and at every change, until it is let go."""
        self._scopes.add(scope)
        scope.deadline = self.deadline

    def let_go(self, scope: trio.CancelScope) -> None:
        """Stop copying into a scope whose child has ended."""
        self._scopes.discard(scope)

    def _copy_to_scopes(self) -> None:
        deadline = self.deadline
        for scope in self._scopes:
            scope.deadline = deadline
        for inner in self._inner:
            inner._copy_to_scopes()  # noqa: SLF001 - same class
