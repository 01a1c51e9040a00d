"""The `telemetry` actor, and what logs and metrics are told of the tree.

The actor beats the heart of the event loop and feeds systemd's watchdog while the heart beats. Starts first and stops
last, so that everything else is watched for its whole life.
"""

from collections.abc import Callable, Iterator

import trio

from supervisors.kernel import (
    ActorEvent,
    ChildExited,
    ChildRestarting,
    ChildStarted,
    Context,
    ExitReason,
    FirstStartFailed,
    GaveUp,
    GiveUp,
    LeashRanOut,
    Snapshot,
    State,
    StopTooSlow,
    describe,
)
from titan.telemetry.health import CheckResult, Status
from titan.telemetry.heartbeat import INTERVAL_S, Heartbeat
from titan.telemetry.log import Log
from titan.telemetry.metrics import ActorState
from titan.telemetry.sdnotify import Notifier

FEEDS_PER_WATCHDOG = 3
"""systemd advises to feed at half the time at the latest; a third leaves room for one that comes late."""


class TelemetryActor:
    """Permanent. Ends only when cancelled."""

    def __init__(self, heartbeat: Heartbeat, notifier: Notifier) -> None:
        self._heartbeat = heartbeat
        self._notifier = notifier

    async def run(self, ctx: Context) -> None:
        """Beat and feed until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heartbeat.run)
            if self._notifier.watchdog_s is not None:
                nursery.start_soon(self._feed, self._notifier.watchdog_s)
            ctx.started()

    async def _feed(self, watchdog_s: float) -> None:
        pause_s = watchdog_s / FEEDS_PER_WATCHDOG
        while True:
            await trio.sleep(pause_s)
            if self._heartbeat.is_fresh(max(pause_s, 2 * INTERVAL_S)):
                self._notifier.alive()


def event_log(log: Log) -> Callable[[ActorEvent], None]:
    """Give the function that tells each event of the tree as one line; for the kernel's `on_event`."""

    def tell(event: ActorEvent) -> None:
        match event:
            case ChildStarted():
                log.info("actor started", actor=event.path, restarts=event.restarts)
            case ChildExited():
                _tell_exit(log, event)
            case ChildRestarting():
                log.warning(
                    "actor restarting", actor=event.path, delay_s=round(event.delay_s, 3), because_of=event.because_of
                )
            case GaveUp():
                log.error("supervisor gave up", actor=event.path, reason=str(event.error))
            case StopTooSlow():
                log.error(
                    "actor stops too slowly",
                    actor=event.path,
                    waited_s=round(event.waited_s, 3),
                    consequence="missing until it ends" if event.for_restart else "left behind",
                )

    return tell


def check_log(log: Log, notifier: Notifier, is_stopping: Callable[[], bool]) -> Callable[[str, CheckResult], None]:
    """Give the function that tells each change of a check as one line, and in `systemctl status`.

    While the process stops every part goes down, which is nobody's alarm.
    """

    def tell(name: str, check: CheckResult) -> None:
        details = {"check": name, "status": check.status.value, "detail": check.detail}
        if is_stopping():
            log.info("check changed", **details)
            return
        {Status.UP: log.info, Status.DEGRADED: log.warning, Status.DOWN: log.error}[check.status](
            "check changed", **details
        )
        notifier.status(f"{name} {check.status.value}{check.detail and f': {check.detail}'}")

    return tell


def actor_states(root: Snapshot) -> Iterator[ActorState]:
    """Give what the metrics show of each place in the tree."""
    yield ActorState(root.path, root.state in {State.RUNNING, State.STANDBY}, root.restarts)
    waits = False
    for child in root.children:
        if not (waits and child.state is State.DOWN):  # its turn may never come here: it is nobody's alarm
            yield from actor_states(child)
        waits = waits or child.state is State.STANDBY


def _tell_exit(log: Log, event: ChildExited) -> None:
    details = {
        "actor": event.path,
        "reason": event.reason.value,
        "asked": event.asked,
        "up_s": None if event.up_s is None else round(event.up_s, 3),
    }
    if event.reason is ExitReason.LEASH and isinstance(event.error, LeashRanOut):  # the end of a term is no fault
        log.info("actor exited", **details)
    elif isinstance(event.error, (FirstStartFailed, GiveUp)):  # what it is made of has been told, child by child
        log.error("actor exited", **details, error=describe(event.error))
    elif event.error is not None:
        log.error("actor exited", **details, error=describe(event.error), exc_info=event.error)
    elif event.asked or event.reason is not ExitReason.RETURNED:
        log.info("actor exited", **details)
    else:
        log.warning("actor exited", **details)
