"""What the balancers of deploy/ have in common: a process that listens, over a file of which a test sets addresses."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

STARTS_WITHIN_S = 10.0

Balancing = Callable[[Path, Sequence[int]], AbstractContextManager[str]]
"""Runs a balancer in a folder over instances on these loopback ports; gives its address."""


def program(name: str, package: str) -> str:
    """Return the path of a program; Debian keeps these outside a user's PATH."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is missing (Debian/Ubuntu: apt-get install {package})"
    return found


def replaced(text: str, what: str, by: Callable[[re.Match[str]], str], *, times: int = 1) -> str:
    """Return the text with what a pattern finds replaced; it must be there so often."""
    text, found = re.subn(what, by, text, flags=re.MULTILINE)
    assert found == times, f"{what} is there {found} times"
    return text


@contextlib.contextmanager
def listening(command: Sequence[str], *, port: int, log: Path) -> Iterator[None]:
    """Run a program that listens on a port for the time of the block; what it prints is added to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _until_listening(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _until_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, f"the balancer ended with {process.returncode}: {log.read_text()}"
        assert time.monotonic() < deadline, f"nobody listens after {STARTS_WITHIN_S} s: {log.read_text()}"
        time.sleep(0.01)
