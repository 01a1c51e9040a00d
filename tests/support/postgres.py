"""Real PostgreSQL servers for tests: started, killed, frozen, restarted, copied to a standby; always cleaned up.

PostgreSQL refuses to run as root, so under root its programs run as the user `postgres` that the Debian package makes.
Everything here blocks; a test with a running loop calls the slow parts (`start`, `stop`) in a worker thread.
"""

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

QUICK = {
    "unix_socket_directories": "",
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
START_DEADLINE_S = 20.0
MEMORY_BYTES = 4 << 30


@functools.cache
def programs() -> Path:
    """Return the folder of the newest installed server's programs (Debian keeps them out of the path)."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    assert on_path, "no PostgreSQL server installed; ./dev test installs it on Debian/Ubuntu"
    return Path(on_path).resolve().parent


def as_postgres() -> dict[str, Any]:
    """Return the arguments by which a program runs as PostgreSQL's user, where we are root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def run(program: str, *args: str, typed: str = "", timeout_s: float = START_DEADLINE_S) -> str:
    """Run one of PostgreSQL's programs to its end and return what it printed; its error text is the failure's text."""
    done = subprocess.run(
        [programs() / program, *args],
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        check=False,
        capture_output=True,
        input=typed,
        text=True,
        timeout=timeout_s,
        **as_postgres(),
    )
    assert done.returncode == 0, f"{program} {' '.join(args)}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def _place() -> str | None:
    """Return a folder in memory where there is room for servers: nothing here is to outlive the machine."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_BYTES else None


def make_folder() -> Path:
    """Make an empty folder that PostgreSQL's user may use; pytest's own temporary folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="titan-pg-", dir=_place()))
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def give_to_postgres(path: Path) -> None:
    """Make a file readable by the server alone, as it demands of its TLS key."""
    path.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def children(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`; PostgreSQL's lead their own sessions: a process group misses them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stat = (entry / "stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


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
        process.send_signal(signal.SIGSTOP)  # so that it forks nobody while its children are listed
        family = children(process.pid)
        for pid in [process.pid, *family]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(START_DEADLINE_S)
        ends = time.monotonic() + START_DEADLINE_S
        while any(map(_alive, family)):
            assert time.monotonic() < ends, "a killed backend is still there"
            time.sleep(0.005)

    def freeze(self) -> None:
        """SIGSTOP the postmaster and every backend: sockets stay open, the kernel goes on accepting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
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
        shutil.rmtree(self.data, ignore_errors=True)

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
    run("initdb", "-D", str(folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    run("postgres", "--single", "-D", str(folder), "postgres", typed="CREATE ROLE titan LOGIN")
    return folder


def forget_template() -> None:
    """Delete the template, at the end of the test run."""
    if _template.cache_info().currsize:
        shutil.rmtree(_template(), ignore_errors=True)
        _template.cache_clear()


def make_server(**settings: str) -> Postgres:
    """Return a new server of its own, not started; the caller removes it."""
    folder = make_folder()
    subprocess.run(["cp", "-a", f"{_template()}/.", folder], check=True)
    return Postgres(folder, port=free_port(), settings=settings)


@contextlib.contextmanager
def running_server(**settings: str) -> Iterator[Postgres]:
    """A server of one's own, started, and removed at the end."""
    server = make_server(**settings)
    try:
        yield server.start()
    finally:
        server.remove()
