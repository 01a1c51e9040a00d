"""The telemetry actor beats and feeds; every event of the tree becomes one line."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from supervisors.actors.telemetry import TelemetryActor, actor_states, check_log, event_log
from supervisors.kernel import Child, Context, Intensity, Restart, Supervisor, open_tree
from titan.telemetry.health import CheckResult, Status
from titan.telemetry.heartbeat import Heartbeat
from titan.telemetry.metrics import ActorState
from titan.telemetry.sdnotify import Notifier


@pytest.fixture
def notifier_with(manager: socket.socket) -> Iterator[Callable[[float | None], Notifier]]:
    made: list[Notifier] = []

    def make(watchdog_s: float | None) -> Notifier:
        made.append(Notifier(manager.getsockname(), watchdog_s=watchdog_s))
        return made[-1]

    yield make
    for notifier in made:
        notifier.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(tmp_path / "notify"))
        yield manager


def feeds(manager: socket.socket) -> int:
    count = 0
    while True:
        try:
            assert manager.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            return count
        count += 1


def tree(*children: Child, intensity: Intensity | None = None) -> Supervisor:
    return Supervisor(name="titan", children=children, intensity=intensity or Intensity())


async def test_the_watchdog_is_fed_at_a_third_of_its_time(manager, notifier_with, autojump_clock):
    heart = Heartbeat()
    actor = TelemetryActor(heart, notifier_with(30))
    async with open_tree(tree(Child(name="telemetry", run=actor.run))):
        await trio.sleep(60.5)
        assert heart.is_fresh()
        assert feeds(manager) == 6


async def test_a_heart_that_does_not_beat_feeds_nobody(manager, notifier_with, mock_clock):
    class Still(Heartbeat):
        async def run(self) -> None:
            await trio.sleep_forever()

    actor = TelemetryActor(Still(), notifier_with(3))
    async with open_tree(tree(Child(name="telemetry", run=actor.run))):
        for _ in range(10):
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
        assert feeds(manager) == 0


async def test_without_a_watchdog_only_the_heart_beats(manager, notifier_with, autojump_clock):
    actor = TelemetryActor(heart := Heartbeat(), notifier_with(None))
    async with open_tree(tree(Child(name="telemetry", run=actor.run))):
        await trio.sleep(60)
        assert heart.is_fresh()
        assert feeds(manager) == 0


class Lines:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **details: self.lines.append((level, event, details))

    def of(self, actor: str) -> list[tuple[str, str]]:
        return [(level, event) for level, event, details in self.lines if details["actor"] == actor]


async def steady(ctx: Context) -> None:
    ctx.started()
    await trio.sleep_forever()


async def test_a_crash_its_restart_and_the_stop_are_lines_of_their_own(autojump_clock):
    log = Lines()
    runs = 0

    async def crash_once(ctx: Context) -> None:
        nonlocal runs
        runs += 1
        ctx.started()
        await trio.sleep(1)
        if runs == 1:
            raise ValueError("the cat sat on it")
        await trio.sleep_forever()

    async with open_tree(tree(Child(name="http", run=crash_once)), on_event=event_log(log)) as opened:
        await trio.sleep(5)
        assert list(actor_states(opened.snapshot())) == [
            ActorState("titan", is_up=True, restarts=0),
            ActorState("titan/http", is_up=True, restarts=1),
        ]
    assert log.of("titan/http") == [
        ("info", "actor started"),
        ("error", "actor exited"),
        ("warning", "actor restarting"),
        ("info", "actor started"),
        ("info", "actor exited"),
    ]
    crash = next(details for _, event, details in log.lines if event == "actor exited")
    assert (crash["reason"], crash["asked"], crash["up_s"]) == ("failed", False, 1.0)
    assert crash["error"] == "ValueError: the cat sat on it"
    assert isinstance(crash["exc_info"], ValueError)
    stop = [details for _, event, details in log.lines if event == "actor exited" and details["actor"] == "titan/http"][
        -1
    ]
    assert (stop["reason"], stop["asked"]) == ("stopped", True)


async def test_giving_up_is_told_with_the_reason(autojump_clock):
    log = Lines()

    async def crash(ctx: Context) -> None:
        ctx.started()
        raise ValueError("again")

    never = Intensity(max_restarts=0, within_s=30)
    with pytest.raises(ExceptionGroup):
        async with open_tree(tree(Child(name="x", run=crash), intensity=never), on_event=event_log(log)):
            await trio.sleep_forever()
    gave_up = [details for _, event, details in log.lines if event == "supervisor gave up"]
    assert [details["actor"] for details in gave_up] == ["titan"]
    assert "ValueError: again" in gave_up[0]["reason"]


async def test_a_stop_that_takes_too_long_is_told(autojump_clock):
    log = Lines()

    async def stubborn(ctx: Context) -> None:
        ctx.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(9)

    child = Child(name="x", run=stubborn, shutdown_s=2)
    async with open_tree(tree(child), on_event=event_log(log)):
        pass
    (slow,) = [details for _, event, details in log.lines if event == "actor stops too slowly"]
    assert (slow["actor"], slow["waited_s"], slow["consequence"]) == ("titan/x", 2.0, "left behind")


async def test_a_child_that_returned_by_itself_is_told(autojump_clock):
    log = Lines()

    async def done(ctx: Context) -> None:
        ctx.started()

    child = Child(name="x", run=done, restart=Restart.TEMPORARY)
    async with open_tree(tree(child, Child(name="y", run=steady)), on_event=event_log(log)):
        await trio.sleep(1)
    assert log.of("titan/x")[:2] == [("info", "actor started"), ("warning", "actor exited")]


@pytest.mark.parametrize(
    ("status", "level"), [(Status.UP, "info"), (Status.DEGRADED, "warning"), (Status.DOWN, "error")]
)
def test_a_check_that_changes_is_a_line_and_systemds_status(manager, notifier_with, status, level):
    log = Lines()
    check_log(log, notifier_with(None), lambda: False)("database", CheckResult(status, 0.0, "disk is full"))
    assert log.lines == [
        (level, "check changed", {"check": "database", "status": status.value, "detail": "disk is full"})
    ]
    assert manager.recv(100).decode() == f"STATUS=database {status.value}: disk is full"


def test_while_the_process_stops_a_check_that_goes_down_is_no_alarm(manager, notifier_with):
    log = Lines()
    check_log(log, notifier_with(None), lambda: True)("database", CheckResult(Status.DOWN, 0.0, "stopped"))
    assert [(level, details["status"]) for level, _, details in log.lines] == [("info", "down")]
    with pytest.raises(BlockingIOError):
        manager.recv(100)
