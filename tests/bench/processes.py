"""Processes that benchmarks start and look at: the yardstick, commands of `titan`, memory of a process tree."""

import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Unmeasurable
from tests.support.server import ROOT, clean_environment, free_port

STARTS_WITHIN_S = 20.0


@contextlib.contextmanager
def yardstick(size: int) -> Iterator[str]:
    """Run the yardstick Q for the time of the block; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.yardstick", str(port), str(size)]
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdin=subprocess.DEVNULL)
    try:
        until_answer(port, "/", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def until_answer(port: int, path: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Return as soon as GET `path` is answered with 200. Tries again every 2 ms, so it is fit to time a start."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while not answers(port, path):
        if process is not None and process.poll() is not None:
            raise Unmeasurable(f"the process ended with {process.returncode} before it answered")
        if time.monotonic() > deadline:
            raise Unmeasurable(f"no answer from port {port} within {STARTS_WITHIN_S} s")
        time.sleep(0.002)


def answers(port: int, path: str) -> bool:
    """Ask once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def titan(*arguments: str, data_dir: Path) -> None:
    """Run a command of `titan` on a data folder to its end; its failure is ours."""
    done = subprocess.run(
        [sys.executable, "-m", "titan", *arguments],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise Unmeasurable(f"titan {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def tree(root_pid: int) -> list[int]:
    """Return a process and all its descendants."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [root_pid]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _parent(process: Path) -> int | None:
    with contextlib.suppress(OSError):  # it ended between listing and reading
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def pss_mb(pids: list[int]) -> float:
    """Return the memory of some processes in MB, shared pages counted once (proportional set size)."""
    total_kb = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "Pss":
                total_kb += int(rest.split()[0])
    return total_kb / 1024


def cpu_s(pid: int) -> float:
    """Return the processor time of a process so far; unlike a rate it hardly moves with what else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
