"""What tests of the whole process share: running it to its end, and looking at its tree."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.support.server import PROGRAM, Server, clean_environment
from tests.support.waiting import wait_until


def run_serve(
    data_dir: Path,
    *arguments: str,
    settings: dict[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    **options,
) -> tuple[int, str]:
    """Run `titan serve` where it must end by itself; return its exit code and all that it said."""
    done = subprocess.run(
        [*program, *arguments],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir), "TITAN_PORT": "0", **(settings or {})}),
        cwd=data_dir.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )
    return done.returncode, done.stdout + done.stderr


def one_line(output: str) -> str:
    """Return the line for the operator; there is one and no traceback."""
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.startswith("titan: ")]
    assert len(lines) == 1, output
    return lines[0]


def tree(server: Server) -> dict[str, Any]:
    """Return the live tree."""
    found: dict[str, Any] = httpx.get(f"{server.url}/system/tree", timeout=5).json()
    return found


def paths(server: Server) -> Iterator[str]:
    """Return the path of every node of the live tree."""
    waiting = [tree(server)]
    while waiting:
        found = waiting.pop()
        yield found["path"]
        waiting += found["children"]


def node(server: Server, path: str) -> dict[str, Any]:
    """Return one node of the live tree."""
    found = tree(server)
    for name in path.split("/")[1:]:
        found = next(child for child in found["children"] if child["name"] == name)
    return found


def wait_for_restart(server: Server, path: str) -> None:
    """Return once the actor at this path runs for the second time."""

    def is_back() -> bool:
        try:
            now = node(server, path)
        except httpx.TransportError:  # the http actor itself is restarting
            return False
        return bool(now["restarts"] == 1 and now["state"] == "running")

    wait_until(is_back, what=f"the restart of {path}")
