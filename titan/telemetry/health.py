"""Checks: each part states the health of what it measures; readiness is made of them, never of a probe in a request."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What a check says of its subject."""

    UP = "up"
    DEGRADED = "degraded"  # serving goes on, slower or with less
    DOWN = "down"  # what needs it cannot be served


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check at one moment; `since` is wall time in seconds since the epoch, for people."""

    status: Status
    since: float
    detail: str
    is_away: bool = False
    """True: what is checked is not there, even where the instance only serves with less for it (`degraded`)."""

    @property
    def is_there(self) -> bool:
        """What `titan_up_dependency` says."""
        return self.status is not Status.DOWN and not self.is_away


class Check:
    """The state of one dependency, set by the actor that owns it and read by everybody."""

    def __init__(
        self,
        name: str,
        *,
        on_change: Callable[[str, CheckResult], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._on_change = on_change
        self._wall_clock = wall_clock
        self._result = CheckResult(Status.DOWN, wall_clock(), "not started")

    def set(self, status: Status, detail: str = "", *, is_away: bool = False) -> bool:
        """State what is so now; `since` moves only when the status changes. True then.

        `on_change` is called for each new status, and for each new reason while it is not up.
        """
        before = self._result
        changed = status is not before.status
        since = self._wall_clock() if changed else before.since
        self._result = CheckResult(status, since, detail, is_away)
        if self._on_change is not None and (changed or (status is not Status.UP and detail != before.detail)):
            self._on_change(self.name, self._result)
        return changed

    @property
    def result(self) -> CheckResult:
        """The newest statement."""
        return self._result


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `/health/ready` says: `ready`, `degraded` (both 200) or `unready` (503), with every configured check."""

    status: str
    checks: Mapping[str, CheckResult]

    @property
    def can_serve(self) -> bool:
        """True where a balancer may send requests here."""
        return self.status != "unready"

    def as_jsonable(self) -> dict[str, Any]:
        """Give the body of `/health/ready`."""
        return {
            "status": self.status,
            "checks": {
                name: {"status": check.status, "since": check.since, "detail": check.detail}
                for name, check in self.checks.items()
            },
        }


def readiness(checks: Mapping[str, CheckResult], *, draining: bool = False) -> Readiness:
    """Sum up: one check down, or a drain, makes the instance unready; one degraded makes it degraded."""
    statuses = {check.status for check in checks.values()}
    if draining or Status.DOWN in statuses:
        return Readiness("unready", checks)
    return Readiness("degraded" if Status.DEGRADED in statuses else "ready", checks)
