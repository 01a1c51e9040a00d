"""Instances behind a balancer are replaced in turn, and the schema with them, while clients send without pause."""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import next_version
from tests.chaos.installation import Installation
from tests.chaos.round import Report
from tests.chaos.told import cursor_now, heard_all
from tests.support import nginx
from tests.support.balancer import Balancing
from tests.support.rolling import drain
from tests.support.server import PROGRAM, ROOT, clean_environment
from tests.support.tireless import Tireless, TirelessSocket
from tests.support.traffic import Sent, traffic

CLIENTS = 16
METHODS = ("POST", "GET", "PUT", "DELETE")
POOL = {"TITAN_DATABASE__POOL_SIZE": "20"}  # the default: one instance alone must hold all clients
EXPECTED = {("POST", 201), ("GET", 200), ("PUT", 204), ("DELETE", 204)}
TODAY = PROGRAM[:-1]
TOMORROW = next_version.PROGRAM
BETWEEN_WITHIN_S = 120.0
MIGRATED_WITHIN_S = 90.0


@dataclass(slots=True)
class Load:
    """Clients at work; complete once the block has ended."""

    sent: Sent
    missed: list[str] = field(default_factory=list)
    """What is wrong with the events that followers heard."""


@contextlib.contextmanager
def under_load(on: Installation, folder: Path, balancing: Balancing = nginx.balancing) -> Iterator[Load]:
    """Send through a balancer for the time of the block, from clients that try nothing twice; follow what they do."""
    ports = [instance.port for instance in on.instances]
    with balancing(folder / "balancer", ports) as url:
        start = cursor_now(on)
        followers = [kind(lambda: [url], start) for kind in (Tireless, TirelessSocket)]
        try:
            with traffic(url, clients=CLIENTS, methods=METHODS, size=1024) as sent:
                sent.wait_for(10 * CLIENTS)
                load = Load(sent)
                yield load
            load.missed = heard_all(url, start, followers)[1]
        finally:
            for each in followers:
                each.stop()


def restart_in_turn(on: Installation, sent: Sent, *, restarts: int, requests: int) -> None:
    """Restart the instances one after the other; at least so many requests are sent meanwhile."""
    for turn in range(restarts):
        replace(on, turn % len(on.instances), TODAY)
        sent.wait_for(requests // restarts, timeout_s=BETWEEN_WITHIN_S)


def roll_out_and_back(on: Installation, sent: Sent, *, requests: int) -> None:
    """Migrate beside today's program, bring tomorrow's, take it back, and migrate back beside today's again."""

    def pause() -> None:
        sent.wait_for(requests // 6, timeout_s=BETWEEN_WITHIN_S)

    migrate(on, "upgrade")
    pause()
    for number, program in [(0, TOMORROW), (1, TOMORROW), (1, TODAY), (0, TODAY)]:  # two of them side by side each time
        replace(on, number, program)
        pause()
    migrate(on, "downgrade", "-1")
    pause()


def report(title: str, seed: int, load: Load, *, at_least: int = 0) -> Report:
    """Judge what became of the requests: every one is answered, and by what one database must answer, and is told."""
    sent = load.sent
    made = Report(title, seed, requests=len(sent.outcomes))
    made.acknowledged = sum(
        count for (method, status), count in sent.statuses().items() if method != "GET" and status in {201, 204}
    )
    made.slowest_s = max(outcome.took_s for outcome in sent.outcomes)
    made.ready_s = 0.0
    made.findings += load.missed
    lost = sent.lost()
    if lost:
        made.findings.append(f"{len(lost)} of {made.requests} requests failed, such as {lost[0]}")
    odd = {key: count for key, count in sent.statuses().items() if key not in EXPECTED}
    if odd:
        made.findings.append(f"answers that one database cannot give: {odd}")
    if made.requests < at_least:
        made.findings.append(f"only {made.requests} requests, the run proves nothing")
    return made


def replace(on: Installation, number: int, program: Sequence[str]) -> None:
    """End an instance as operators do and start this program in its place."""
    drain(on.instances[number])
    on.program = [*program, "serve"]
    on.restart_instance(number).wait_ready()


_WAITING = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"


def _until_it_waits(on: Installation, running: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + MIGRATED_WITHIN_S
    while on.postgres.psql(_WAITING, on.database) == "0":
        assert running.poll() is None, "it did not wait for the report"
        assert time.monotonic() < deadline, "it never asked for the lock"


def migrate(on: Installation, *arguments: str) -> None:
    """Run `titan db` of tomorrow's program beside the traffic, and beside a report that reads for a while.

    The migration has to wait for the report; every request would queue behind the migration if it waited for long.
    """
    command, environment = [*TOMORROW, "db", *arguments], clean_environment(on.settings)
    with on.postgres.session("BEGIN; SELECT count(*) FROM titan_document", on.database):
        running = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        _until_it_waits(on, running)
    said, _ = running.communicate(timeout=MIGRATED_WITHIN_S)
    assert running.returncode == 0, f"titan db {' '.join(arguments)}: {said}"
