"""PostgreSQL's own programs and what they need: their user, folders and ports. They refuse to run as root."""

import contextlib
import functools
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.folders import new_folder

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
    folder = new_folder("titan-pg-", otherwise=_place())
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


def state(pid: int) -> str:
    """Return a process' state as the kernel has it (R, S, T, Z and others), X where there is none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def wait_for_state(pid: int, states: str) -> None:
    """Return once a process is in one of these states."""
    ends = time.monotonic() + START_DEADLINE_S
    while state(pid) not in states:
        assert time.monotonic() < ends, f"process {pid} is {state(pid)}, not {states}"
        time.sleep(0.002)
