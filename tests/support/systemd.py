"""A small stand-in for systemd: runs a service as its unit file says, with notify protocol, watchdog and restarts.

    with running(UNIT, tmp_path) as service:
        service.wait_ready()

What it takes from the unit is what `Unit` and `Service` ask for by name: command, environment with the example of its
file, credentials, state directory, watchdog, time limits, what is restarted. Hardening is another matter:
`tests.support.sandbox`. The program of `ExecStart=` is replaced, its arguments stay.
"""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import PROGRAM, ROOT
from tests.support.waiting import wait_until

UNIT = ROOT / "deploy" / "systemd" / "titan-aas.service"
_CLEAN = {0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Unit:
    """The section [Service] of a unit file."""

    settings: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, path: Path) -> "Unit":
        """Read a file as systemd.syntax(7) says: repeated settings add up, an empty one forgets those before."""
        settings: dict[str, list[str]] = {}
        section = ""
        for line in path.read_text().replace("\\\n", " ").splitlines():
            if line.startswith("["):
                section = line.strip()
            elif section == "[Service]" and line and not line.startswith(("#", ";")):
                name, _, value = line.partition("=")
                settings.setdefault(name, []).append(value.strip())
                if not value.strip():
                    settings[name].clear()
        return cls(settings)

    def one(self, name: str) -> str:
        """Return a setting that is a single value."""
        (value,) = self.settings[name]
        return value

    def words(self, name: str) -> list[str]:
        """Return a setting that is a list, or several."""
        return [word for value in self.settings.get(name, ()) for word in shlex.split(value)]

    def seconds(self, name: str) -> float:
        """Return a setting that is a time span."""
        parts = re.findall(r"([\d.]+)\s*([a-z]*)", self.one(name))
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)

    def but(self, **settings: str) -> "Unit":
        """Return it with other values, as by a drop-in of `systemctl edit`."""
        return Unit({**self.settings, **{name: [value] for name, value in settings.items()}})


@dataclass(slots=True)
class Told:
    """What one process of the service has told, and when."""

    process: "subprocess.Popen[bytes]"
    messages: list[tuple[float, dict[str, str]]] = field(default_factory=list)
    ended_by_watchdog: bool = False

    @property
    def is_ready(self) -> bool:
        """It has said that its start is over."""
        return any("READY" in said for _, said in self.messages)

    def values(self, name: str) -> list[str]:
        """Return what was assigned to this, in order."""
        return [said[name] for _, said in self.messages if name in said]

    def signs_of_life(self) -> list[float]:
        """Return the times at which the watchdog began or was fed."""
        return [at for at, said in self.messages if "READY" in said or "WATCHDOG" in said]


class Service:
    """One unit, supervised by a thread of its own from `start` to `stop`."""

    def __init__(
        self,
        unit: Unit,
        folder: Path,
        *,
        program: Sequence[str] = PROGRAM[:-1],
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        self.unit = unit
        self.folder = folder
        self.runs: list[Told] = []
        self.state = folder / "lib" / unit.one("StateDirectory")
        self.log = folder / "journal"
        self._credstore = folder / "credstore"
        self._program = program
        self._prefix = prefix
        self._environment = environment or {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise)
        for name, text in (credentials or {}).items():
            self._credstore.mkdir(exist_ok=True)
            (self._credstore / name).write_text(text)

    @property
    def last(self) -> Told:
        """The process that runs, or ran last."""
        return self.runs[-1]

    def start(self) -> None:
        """Prepare what the unit asks for and run it."""
        self.state.mkdir(mode=int(self.unit.one("StateDirectoryMode"), 8), parents=True)
        self._socket.bind(str(self.folder / "notify"))
        self._socket.settimeout(0.02)
        self._launch()
        self._thread.start()

    def wait_ready(self) -> Told:
        """Return the present process once it is ready."""
        wait_until(lambda: self.last.is_ready, within_s=20, what=f"READY=1 of\n{self.text()}")
        return self.last

    def text(self) -> str:
        """Return what it printed."""
        return self.log.read_text(errors="replace")

    def wait_ended(self) -> int:
        """Return the exit code once it has ended and nothing is started any more."""
        self._thread.join(30)
        assert not self._thread.is_alive(), self.text()
        return int(self.last.process.returncode)

    def stop(self) -> int:
        """Stop it as `systemctl stop` does; return its exit code."""
        self._stopping.set()
        return self.wait_ended()

    def close(self) -> None:
        """Leave nothing running."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()

    # --- what the unit says ---

    def _launch(self) -> None:
        start = 'export WATCHDOG_PID=$$; umask "$0"; exec "$@"'
        command = [*self._prefix, *self._program, *shlex.split(self.unit.one("ExecStart"))[1:]]
        with self.log.open("ab") as journal:
            process = subprocess.Popen(
                ["sh", "-c", start, self.unit.one("UMask"), *command],
                cwd=self._expand(self.unit.one("WorkingDirectory")),
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                start_new_session=True,
            )
        self.runs.append(Told(process))

    def _expand(self, text: str) -> str:
        return text.replace("%S", str(self.folder / "lib")).replace("%d", str(self.folder / "credentials"))

    def _environ(self) -> dict[str, str]:
        environ = {
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "STATE_DIRECTORY": str(self.state),
            "WATCHDOG_USEC": str(round(self.unit.seconds("WatchdogSec") * 1e6)),
        }
        given = [*self.unit.words("Environment"), *self._environment_file()]
        environ |= {name: self._expand(value) for name, value in (word.split("=", 1) for word in given)}
        if self._load_credentials():
            environ["CREDENTIALS_DIRECTORY"] = str(self.folder / "credentials")
        return {**environ, **self._environment}

    def _environment_file(self) -> list[str]:
        """Read the example that lies beside the unit, which goes to where the unit looks for it."""
        example = UNIT.parent / Path(self.unit.one("EnvironmentFile").removeprefix("-")).name
        return shlex.split(example.read_text(), comments=True)

    def _load_credentials(self) -> bool:
        """Copy those that are there; a source without a slash is looked for in the credential store."""
        loaded = self.folder / "credentials"
        for word in self.unit.words("LoadCredential"):
            name, _, source = word.partition(":")
            assert "/" not in source, "systemd refuses to start where an absolute source is missing"
            if (self._credstore / source).exists():
                loaded.mkdir(exist_ok=True)
                (loaded / name).write_bytes((self._credstore / source).read_bytes())
        return loaded.exists()

    # --- the thread ---

    def _supervise(self) -> None:
        while self._run_once() and not self._stopping.wait(self.unit.seconds("RestartSec")):
            self._launch()

    def _run_once(self) -> bool:
        """Follow one process to its end; say whether it is to be started again."""
        run = self.last
        while run.process.poll() is None:
            self._hear(run)
            if self._stopping.is_set():
                self._end(run, signal.SIGTERM)
                return False
            alive = run.signs_of_life()
            if alive and time.monotonic() - alive[-1] > self.unit.seconds("WatchdogSec"):
                run.ended_by_watchdog = True
                self._end(run, signal.SIGABRT)
        self._sweep(run)
        code = run.process.returncode
        assert self.unit.one("Restart") == "on-failure"
        prevented = {int(word) for word in self.unit.words("RestartPreventExitStatus")}
        return not self._stopping.is_set() and code not in _CLEAN | prevented

    def _hear(self, run: Told) -> None:
        with contextlib.suppress(TimeoutError):
            said = dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())
            run.messages.append((time.monotonic(), said))

    def _end(self, run: Told, number: signal.Signals) -> None:
        assert self.unit.one("KillMode") == "mixed"  # the signal is for the main process alone
        run.process.send_signal(number)
        deadline = time.monotonic() + self.unit.seconds("TimeoutStopSec")
        while run.process.poll() is None and time.monotonic() < deadline:
            self._hear(run)
        self._sweep(run)

    def _sweep(self, run: Told) -> None:
        """Kill what is left of it, hear its last words."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
        for _ in range(3):
            self._hear(run)


@contextlib.contextmanager
def running(
    unit: Unit,
    folder: Path,
    *,
    program: Sequence[str] = PROGRAM[:-1],
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    credentials: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Run a service for the time of the block; a failing block carries its output as a note."""
    service = Service(unit, folder, program=program, prefix=prefix, environment=environment, credentials=credentials)
    try:
        service.start()
        yield service
    except BaseException as error:
        error.add_note(f"output of the service:\n{service.text()[-6000:]}")
        raise
    finally:
        service.close()
