"""Prometheus as users run it: the files of deploy/prometheus with the addresses of the test, as a process of its own.

with watching(folder, [server.port], every_s=1) as prometheus:
    wait_until(lambda: "TitanNoLeader" in prometheus.firing())
"""

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.balancer import listening, program, replaced
from tests.support.server import ROOT, free_port
from tests.support.waiting import wait_until

FILES = ROOT / "deploy" / "prometheus"
CONFIGURATION = FILES / "prometheus.yml"
ALERTS = FILES / "alerts" / "ha.yml"
PACKAGE = "prometheus"
"""Of Debian; promtool is in it."""
READY_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    url: str

    def is_ready(self) -> bool:
        """Say whether it answers queries."""
        return httpx.get(f"{self.url}/-/ready", timeout=5).is_success

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now: for each series its `metric` (labels) and `value`."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=5).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        answer = httpx.get(f"{self.url}/api/v1/alerts", timeout=5).json()
        return {alert["labels"]["alertname"] for alert in answer["data"]["alerts"] if alert["state"] == "firing"}

    def up(self) -> int:
        """Return how many instances were reached when they were asked last."""
        return sum(each["value"][1] == "1" for each in self.query('up{job="titan-aas"}'))


def render(instances: Sequence[int], *, every_s: int | None = None) -> str:
    """Return the users' file with these instances, asked so often; all else is theirs."""
    text = replaced(
        CONFIGURATION.read_text(),
        r"(?:^ *- titan-\d+:8080\n)+",
        lambda _: "".join(f"          - 127.0.0.1:{instance}\n" for instance in instances),
    )
    if every_s is None:
        return text
    text = replaced(text, r"^ *scrape_timeout: 5s\n", lambda _: f"  scrape_timeout: {every_s}s\n")
    return replaced(
        text, r"(scrape|evaluation)_interval: 15s", lambda found: f"{found[1]}_interval: {every_s}s", times=2
    )


def hurried(rules: str, *, every_s: int) -> str:
    """Return alerts that wait for two looks only, and look back no further than twenty, for tests that cannot wait."""
    rules = re.sub(r"for: \d+m", f"for: {2 * every_s}s", rules)
    return re.sub(r"\[\d+m\]", f"[{20 * every_s}s]", rules)


@contextlib.contextmanager
def watching(folder: Path, instances: Sequence[int], *, every_s: int | None = None) -> Iterator[Prometheus]:
    """Run Prometheus over instances on these loopback ports for the time of the block.

    Without `every_s` it is as slow and as patient as the users' own, else it looks so often and alerts are hurried.
    """
    port = free_port()
    (folder / "alerts").mkdir(parents=True, exist_ok=True)
    (folder / CONFIGURATION.name).write_text(render(instances, every_s=every_s))
    rules = ALERTS.read_text()
    (folder / "alerts" / ALERTS.name).write_text(rules if every_s is None else hurried(rules, every_s=every_s))
    command = [
        program("prometheus", PACKAGE),
        f"--config.file={folder / CONFIGURATION.name}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with listening(command, port=port, log=folder / "prometheus.log"):
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        # It listens before it answers queries, and says 503 until then.
        wait_until(prometheus.is_ready, within_s=READY_WITHIN_S, what="Prometheus answers queries")
        yield prometheus


def promtool(*arguments: str | Path) -> str:
    """Run Prometheus' own checker over files; return what it says. Raises `AssertionError` where it finds a fault."""
    command = [program("promtool", PACKAGE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
