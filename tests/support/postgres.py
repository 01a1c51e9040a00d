"""Real PostgreSQL servers for tests: started, killed, frozen, restarted, copied to a standby; always cleaned up.

PostgreSQL refuses to run as root, so under root its programs run as the user `postgres` that the Debian package makes.
Everything here blocks; a test with a running loop calls the slow parts (`start`, `stop`) in a worker thread.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.postgres_programs import (
    START_DEADLINE_S,
    as_postgres,
    children,
    free_port,
    make_folder,
    programs,
    run,
    wait_for_state,
)

QUICK = {
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that a killed server leaves nothing in /dev/shm
    "fsync": "off",  # a killed server keeps the page cache, so nothing tested here depends on it; it halves the time
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "wal_level": "replica",
    "wal_retrieve_retry_interval": "200ms",  # with the default of 5 s a promotion takes 5.1 s (measured)
    "log_min_messages": "warning",
    "timezone": "UTC",
}


_MEMORY_LINE = 6  # of postmaster.pid: key and number of its shared memory


class Postgres:
    """One server process with its own data folder, address and port.

    `prefix` is put before its program, which then has to become PostgreSQL's user by itself.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int,
        settings: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        self.data = data
        self.port = port
        self.host = host
        self.prefix = prefix
        self.settings = {**QUICK, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """True from `start` until `stop` or `kill`."""
        return self._process is not None

    def url(self, database: str = "postgres", *, user: str = "titan", query: str = "") -> str:
        """Return a URL of one of its databases; `titan` is no superuser."""
        return f"postgresql://{user}@{self.host}:{self.port}/{database}{'?' + query if query else ''}"

    # --- life ---

    def start(self, *, wait: bool = True, **settings: str) -> Self:
        """Start it; with `wait`, return once it accepts connections. `settings` hold for this start only."""
        assert self._process is None
        chosen = {"listen_addresses": self.host, **self.settings, **settings, "port": str(self.port)}
        with (self.data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self.prefix,
                    programs() / "postgres",
                    "-D",
                    self.data,
                    *(f"--{key}={value}" for key, value in chosen.items()),
                ],
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the tests is not its business
                **({} if self.prefix else as_postgres()),
            )
        if wait:
            self.wait_until_accepting()
        return self

    def wait_until_accepting(self) -> None:
        """Return once it accepts connections; fail with its log if it ends before."""
        ends = time.monotonic() + START_DEADLINE_S
        ready = [str(programs() / "pg_isready"), "-q", "-h", self.host, "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._process is not None
            assert self._process.poll() is None, f"the server ended:\n{self.log()}"
            assert time.monotonic() < ends, f"the server does not accept:\n{self.log()}"
            time.sleep(0.02)

    def stop(self, *, mode: signal.Signals = signal.SIGINT) -> None:
        """Stop it (SIGINT: fast shutdown, SIGQUIT: immediate) and wait for its end."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(mode)
        try:
            process.wait(START_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._kill(process)
            raise

    def kill(self) -> None:
        """kill -9 the whole server, as a power cut of the machine would (except that the page cache stays)."""
        process, self._process = self._process, None
        if process is not None:
            self._kill(process)

    @staticmethod
    def _kill(process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGSTOP)
        wait_for_state(process.pid, "TZX")  # from now on it forks nobody: no child is missed
        family = children(process.pid)
        for pid in [process.pid, *family]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(START_DEADLINE_S)
        for pid in family:
            wait_for_state(pid, "ZX")

    def freeze(self) -> None:
        """SIGSTOP the postmaster and every backend: sockets stay open, the kernel goes on accepting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        wait_for_state(self._process.pid, "T")
        self._signal_family(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT all of it."""
        assert self._process is not None
        self._signal_family(signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)

    def _signal_family(self, number: signal.Signals) -> None:
        assert self._process is not None
        for pid in children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def remove(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        self._remove_memory()
        shutil.rmtree(self.data, ignore_errors=True)

    def _remove_memory(self) -> None:
        """Give back the piece of shared memory that one which was killed leaves: the machine has 4,096 of them."""
        with contextlib.suppress(FileNotFoundError):  # it ended in order, or never ran
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if len(lines) > _MEMORY_LINE:
                _key, number = lines[_MEMORY_LINE].split()
                subprocess.run(["ipcrm", "-m", number], capture_output=True, check=False)  # gone already: as wished

    def log(self) -> str:
        """Return what it logged."""
        return (self.data / "server.log").read_text(errors="replace")

    # --- content ---

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Run statements; return the rows unaligned, columns separated by `|`."""
        return run("psql", *self._psql_options(database), "-c", sql).strip()

    def _psql_options(self, database: str, user: str = "postgres") -> list[str]:
        return ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.url(database, user=user)]

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database that belongs to `titan` and return its URL."""
        self.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER titan')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.psql(f'DROP DATABASE "{name}" WITH (FORCE)')

    @contextlib.contextmanager
    def crowd(self, sessions: int) -> Iterator[None]:
        """Hold so many sessions of other clients, without a superuser's privileges, open."""
        with contextlib.ExitStack() as stack:
            for _ in range(sessions):
                stack.enter_context(self.session("SELECT 1", user="titan"))
            yield

    @contextlib.contextmanager
    def session(self, sql: str, database: str = "postgres", *, user: str = "postgres") -> Iterator[None]:
        """Hold a session of another client open that has run `sql`, e.g. `BEGIN; LOCK TABLE x`; end it after."""
        process = subprocess.Popen(
            [programs() / "psql", *self._psql_options(database, user)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{sql};\n\\echo ran\n")
            process.stdin.flush()
            printed: list[str] = []
            while (line := process.stdout.readline()) != "ran\n":
                assert line, f"psql ended: {printed}"
                printed.append(line)
            yield
        finally:
            process.kill()
            process.communicate()

    def standby(self, *, synchronous: bool = True, host: str = "127.0.0.1", port: int = 0) -> "Postgres":
        """Copy it into a streaming standby, started; with `synchronous` every commit waits for it from now on."""
        folder = make_folder()
        name = f"standby_{folder.name[-8:]}"
        source = f"host={self.host} port={self.port} user=postgres application_name={name}"
        run("pg_basebackup", "-D", str(folder), "-R", "-d", source, "-X", "stream", "-c", "fast")
        other = Postgres(folder, port=port or free_port(), settings=self.settings, host=host).start()
        if synchronous:
            self.psql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
            self.psql("SELECT pg_reload_conf()")
            self.wait_for_synchronous_standby()
        return other

    @contextlib.contextmanager
    def followed(self, *, synchronous: bool, host: str = "127.0.0.1", port: int = 0) -> Iterator["Postgres"]:
        """Have a standby for the time of the block, removed at the end."""
        standby = self.standby(synchronous=synchronous, host=host, port=port)
        try:
            yield standby
        finally:
            standby.remove()

    def wait_for_synchronous_standby(self) -> None:
        """Return once there is one that commits wait for."""
        ends = time.monotonic() + START_DEADLINE_S
        while self.psql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1":
            assert time.monotonic() < ends, self.log()
            time.sleep(0.02)

    def promote(self) -> None:
        """Make a standby the primary and wait until it is."""
        assert self.psql("SELECT pg_promote(true, 20)") == "t"


@functools.cache
def _template() -> Path:
    """Return a freshly initialised data folder, made once per process (an initdb takes a second, a copy 50 ms)."""
    folder = make_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _initialise(folder)
    return folder


def _initialise(folder: Path) -> None:
    run("initdb", "-D", str(folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    run("postgres", "--single", "-D", str(folder), "postgres", typed="CREATE ROLE titan LOGIN")


def make_server(**settings: str) -> Postgres:
    """Return a new server of its own, not started; the caller removes it."""
    folder = make_folder()
    subprocess.run(["cp", "-a", f"{_template()}/.", folder], check=True)
    return Postgres(folder, port=free_port(), settings=settings)


def make_cluster() -> Postgres:
    """Return a server like `make_server`, but of another cluster than all others, by its system identifier."""
    folder = make_folder()
    _initialise(folder)
    return Postgres(folder, port=free_port())


@contextlib.contextmanager
def running_server(**settings: str) -> Iterator[Postgres]:
    """A server of one's own, started, and removed at the end."""
    server = make_server(**settings)
    try:
        yield server.start()
    finally:
        server.remove()
