"""What systemd is told, so that it starts what stands on the server in time and ends one that hangs."""

import socket
import time
from contextlib import suppress
from pathlib import Path

from tests.support import hooked
from tests.support.server import serving


class Manager:
    """A small stand-in for systemd: the socket it is told on, and what was said."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    def wait_for(self, name: str, timeout_s: float = 15.0) -> dict[str, str]:
        """Return the next message with this assignment."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            lines = self._socket.recv(4096).decode().splitlines()
            said = dict(line.split("=", 1) for line in lines)
            if name in said:
                return said

    def forget(self) -> None:
        """Drop what was said so far."""
        self._socket.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)

    def is_silent_for(self, seconds: float) -> bool:
        """Say whether the watchdog is not fed for so long, which is when systemd would kill the service."""
        try:
            self.wait_for("WATCHDOG", seconds)
        except TimeoutError:
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def test_systemd_is_told_of_ready_stopping_and_each_sign_of_life(data_dir, tmp_path):
    with Manager(tmp_path) as manager:
        settings = {
            "NOTIFY_SOCKET": manager.address,
            "WATCHDOG_USEC": "1000000",
            "HOOK_SOCKET": str(tmp_path / "hook"),
        }
        with serving(data_dir, settings=settings, program=hooked.PROGRAM) as server:
            ready = manager.wait_for("READY")
            assert ready["MAINPID"] == str(server.pid)
            assert ready["STATUS"] == f"serving on port {server.port}"
            for _ in range(3):
                manager.wait_for("WATCHDOG")
            assert hooked.order(tmp_path / "hook", "block 3") == "done"
            manager.forget()
            assert manager.is_silent_for(1.0)
            server.wait_ready()
            manager.wait_for("WATCHDOG")
            server.terminate()
            manager.wait_for("STOPPING")
