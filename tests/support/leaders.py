"""Who leads, as the servers' metrics say."""

import re
import time
from collections.abc import Sequence

import httpx

from tests.support.server import Server

ROLE = "cleanup-worker"
QUICK = {"TITAN_LEADERSHIP__TTL_S": "0.9", "TITAN_LEADERSHIP__RENEW_S": "0.3"}
"""The sub-second profile: what the guide does in 30 s, on a machine that has others to serve."""

_LINE = re.compile(r'^(titan_leader_\w+)\{role="([^"]+)"\} (\S+)$', re.MULTILINE)


def figures(server: Server) -> dict[tuple[str, str], float]:
    """Return `titan_leader_status` and `titan_leader_epoch` by metric and role; empty where it does not answer."""
    try:
        text = httpx.get(f"{server.url}/metrics", timeout=2).text
    except httpx.TransportError:
        return {}
    return {(name, role): float(value) for name, role, value in _LINE.findall(text)}


def leads(server: Server, role: str = ROLE) -> bool:
    """Say whether this server says that it leads."""
    return figures(server).get(("titan_leader_status", role)) == 1


def epoch(server: Server, role: str = ROLE) -> int:
    """Return the number of the newest term that it led."""
    return int(figures(server).get(("titan_leader_epoch", role), -1))


def leader(servers: Sequence[Server], role: str = ROLE) -> Server | None:
    """Return the first that says that it leads."""
    return next((server for server in servers if leads(server, role)), None)


def wait_for_leader(servers: Sequence[Server], *, within_s: float, role: str = ROLE) -> tuple[Server, float]:
    """Return the first that says that it leads, and after how many seconds it did."""
    began = time.monotonic()
    while (found := leader(servers, role)) is None:
        assert time.monotonic() - began < within_s, f"no {role} within {within_s:g} s"
        time.sleep(0.005)
    return found, time.monotonic() - began
