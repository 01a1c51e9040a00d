"""Redis' own programs, and one process of them: started, killed, frozen, stopped; always cleaned up."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.support.folders import new_folder
from tests.support.postgres_programs import START_DEADLINE_S, wait_for_state


def program(name: str) -> str:
    """Return the path of one of Redis' programs."""
    found = shutil.which(name)
    assert found, f"no {name} installed; ./dev test installs it on Debian/Ubuntu"
    return found


PORTS = range(12_000, 32_000)
"""Below those that the kernel gives to clients, so that a server that was away finds its port free."""

_given: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that no connection gets by chance."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def make_folder() -> Path:
    """Make an empty folder."""
    return new_folder("titan-redis-")


def cli(port: int, *command: str, options: tuple[str, ...] = ()) -> str:
    """Give one command to a server by redis-cli; return what it printed, an error answer too."""
    done = subprocess.run(
        [program("redis-cli"), "-h", "127.0.0.1", "-p", str(port), *options, *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=START_DEADLINE_S,
    )
    return (done.stdout + done.stderr).strip()


class Process:
    """One process in a folder of its own; a harness around Popen, which knows nothing of Redis' protocol."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True from `start` until `stop` or `kill`."""
        return self._process is not None

    def start(self) -> None:
        """Start it; it is not known yet when it serves."""
        assert self._process is None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the tests is not its business
            )

    def log(self) -> str:
        """Return what it logged."""
        return (self.folder / "log").read_text(errors="replace")

    def wait_for(self, port: int, *command: str, answer: str, options: tuple[str, ...] = ()) -> None:
        """Return once a command is answered with this."""
        ends = time.monotonic() + START_DEADLINE_S
        while answer not in (said := cli(port, *command, options=options)):
            assert self._process is None or self._process.poll() is None, f"it ended:\n{self.log()}"
            assert time.monotonic() < ends, f"{command}: {said}\n{self.log()}"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in order and wait for its end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(START_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def freeze(self) -> None:
        """SIGSTOP: sockets stay open, the kernel goes on accepting."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_for_state(self.pid, "T")

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """Kill it and delete its folder."""
        with contextlib.suppress(ProcessLookupError):
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
