"""systemd gets its datagrams, on a real socket; whatever that socket does, the service goes on."""

import contextlib
import os
import socket
from pathlib import Path

import pytest

from titan.telemetry.sdnotify import Notifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        yield manager


def received(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_the_life_of_a_service(manager):
    notifier = Notifier(manager.getsockname())
    notifier.ready("http://127.0.0.1:8080")
    assert received(manager) == ["READY=1", f"MAINPID={os.getpid()}", "STATUS=http://127.0.0.1:8080"]
    notifier.status("degraded:\n database")
    assert received(manager) == ["STATUS=degraded: database"]
    notifier.alive()
    assert received(manager) == ["WATCHDOG=1"]
    notifier.stopping("draining")
    assert received(manager) == ["STOPPING=1", "STATUS=draining"]
    notifier.close()
    notifier.close()


def test_an_abstract_socket():
    name = f"titan-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(5)
        notifier = Notifier(f"@{name}")
        notifier.alive()
        assert received(manager) == ["WATCHDOG=1"]
        notifier.close()


@pytest.mark.parametrize("address", [None, ""])
def test_without_a_socket_nothing_happens(address):
    notifier = Notifier(address)
    notifier.ready("x")
    notifier.close()


def test_a_manager_that_is_away_is_told_later_and_reported_once(tmp_path: Path):
    failures: list[OSError] = []
    path = str(tmp_path / "notify")
    notifier = Notifier(path, on_failure=failures.append)
    notifier.ready("early")
    notifier.alive()
    assert [type(failure) for failure in failures] == [FileNotFoundError]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        notifier.status("late")
        assert received(manager) == ["READY=1", f"MAINPID={os.getpid()}", "STATUS=late", "WATCHDOG=1"]
        notifier.alive()
        assert received(manager) == ["WATCHDOG=1"]
    notifier.alive()
    assert len(failures) == 2  # a new spell
    notifier.close()


def test_a_manager_that_does_not_read_blocks_nobody(manager):
    failures: list[OSError] = []
    notifier = Notifier(manager.getsockname(), on_failure=failures.append)
    while not failures:
        notifier.alive()
    assert isinstance(failures[0], BlockingIOError)
    notifier.stopping("draining")
    manager.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            received(manager)
    notifier.alive()
    assert received(manager) == ["WATCHDOG=1", "STOPPING=1", "STATUS=draining"]
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_as_systemd_sets_it(environ, watchdog_s):
    assert Notifier.from_environment(environ).watchdog_s == watchdog_s


def test_the_socket_as_systemd_sets_it(manager):
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.alive()
    assert received(manager) == ["WATCHDOG=1"]
    notifier.close()
