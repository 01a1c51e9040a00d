"""The real server as a process: started on a free loopback port with a folder of its own, and always stopped.

    with serving(tmp_path) as server:
        httpx.get(server.url + "/shells")

In trio tests, where a blocking start would stop the loop, use `async with serving_async(tmp_path) as server`.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import trio

ROOT = Path(__file__).parents[2]
READY_S = 20.0
PROGRAM = (sys.executable, "-m", "titan", "serve")
STOP_S = 25.0  # the hard deadline of the process is 20 s
_OURS = ("TITAN_", "DATABASE_", "REDIS_", "OIDC_")


class Options(TypedDict, total=False):
    """How a server is started; all may be left out."""

    settings: Mapping[str, str]  # environment variables
    arguments: Sequence[str]  # of `titan serve`
    port: int
    stdout: int  # a descriptor for its standard output, which is then missing from `Server.logs()`
    program: Sequence[str]  # instead of PROGRAM


class ServerFailed(AssertionError):
    """The server ended, did not become ready or did not stop; the message carries its output."""


def clean_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process' environment without any setting of the server, plus `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(settings or {})}


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    """Ask `/health/ready` of the server on this port once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Server:
    """One `python -m titan serve`. `data_dir` is kept when it stops, so it can be started again on it."""

    def __init__(
        self,
        data_dir: Path,
        **options: Unpack[Options],
    ) -> None:
        self.data_dir = data_dir
        self.port = options.get("port", 0) or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._log = data_dir.parent / f"{data_dir.name}.server-{self.port}.log"
        own = {"TITAN_DATA_DIR": str(data_dir), "TITAN_HOST": "127.0.0.1", "TITAN_PORT": str(self.port)}
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*options.get("program", PROGRAM), *options.get("arguments", ())],
                stdin=subprocess.DEVNULL,
                stdout=options.get("stdout", output),
                stderr=output,
                cwd=data_dir.parent,
                env=clean_environment({**own, **options.get("settings", {})}),
                start_new_session=True,  # its children go with it, and a Ctrl-C at the tests is not its business
            )

    @property
    def pid(self) -> int:
        """Process id of the root process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def logs(self) -> str:
        """Return everything it wrote to stdout and stderr so far."""
        return self._log.read_text(errors="replace")

    def is_ready(self) -> bool:
        """Ask `/health/ready` once."""
        return is_ready(self.port)

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Return once it is ready; raise `ServerFailed` when it ends before or takes longer."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self.exit_code is not None:
                raise ServerFailed(f"titan serve ended with {self.exit_code} before it was ready:\n{self.logs()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"titan serve was not ready after {timeout_s} s:\n{self.logs()}")
            time.sleep(0.02)

    def terminate(self) -> None:
        """Send SIGTERM: the server drains."""
        self._signal(signal.SIGTERM)

    def thaw(self) -> None:
        """Send SIGCONT: it goes on if somebody froze it."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL to the server and all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Return the exit code (negative: the signal that ended it)."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"titan serve did not end within {timeout_s} s:\n{self.logs()}") from None

    def stop(self) -> None:
        """Terminate and wait; whatever happens, nothing is left running afterwards."""
        try:
            self.terminate()
            self.wait()
        finally:
            self.kill()
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            self._process.send_signal(number)


@contextlib.contextmanager
def serving(
    data_dir: Path,
    **options: Unpack[Options],
) -> Iterator[Server]:
    """Run a ready server for the time of the block. A failing block carries the server's output as a note."""
    server = Server(data_dir, **options)
    try:
        server.wait_ready()
        yield server
    except BaseException as error:
        error.add_note(f"output of titan serve:\n{server.logs()[-8000:]}")
        raise
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def serving_async(
    data_dir: Path,
    **options: Unpack[Options],
) -> AsyncIterator[Server]:
    """Like `serving`, for trio: starting and stopping wait in a thread."""
    server = Server(data_dir, **options)
    try:
        await trio.to_thread.run_sync(server.wait_ready)
        yield server
    except BaseException as error:
        error.add_note(f"output of titan serve:\n{server.logs()[-8000:]}")
        raise
    finally:
        with trio.CancelScope(deadline=trio.current_time() + STOP_S + 5, shield=True):
            await trio.to_thread.run_sync(server.stop)
