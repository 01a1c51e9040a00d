"""What the actors that wait for a remote share: each new state goes to the check, and the first one means *started*."""

from collections.abc import Callable

from supervisors.kernel import Context
from titan.telemetry.health import Check, Status


class Statement:
    """Says how a remote is; outlives the runs of the actor that does."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._tell_started: Callable[[], None] = lambda: None

    def begin(self, ctx: Context) -> None:
        """Have the next state, up or down, mean that this run is started: a remote that is away is a state."""
        self._tell_started = ctx.started

    def say(self, status: Status, detail: str, *, is_away: bool = False) -> None:
        """State what is so now."""
        self._check.set(status, detail, is_away=is_away)
        started, self._tell_started = self._tell_started, lambda: None
        started()
