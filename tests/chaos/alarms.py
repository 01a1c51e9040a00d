"""Scenarios with a real Prometheus over two instances: something breaks, its alert fires, and ends when it is mended.

The alerts are the users' own, but that they wait for two seconds instead of minutes, and look back twenty.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.installation import Installation
from tests.chaos.rigs import plain
from tests.chaos.round import Report
from tests.support.prometheus import Prometheus, watching
from tests.support.redis import RedisServer, running_redis
from tests.support.traffic import traffic

EVERY_S = 1
FIRES_WITHIN_S = 40.0
OVER_WITHIN_S = 60.0
HELD = 16
"""Connections, of the 20 that an instance has."""

SETTINGS = {
    "TITAN_DATABASE__POOL_SIZE": "20",
    "TITAN_DATABASE__REQUEST_BUDGET_S": "30",  # so that connections are held for as long as it takes
    "TITAN_DATABASE__STATEMENT_TIMEOUT_S": "25",
    "TITAN_LEADERSHIP__TTL_S": "3",
    "TITAN_LEADERSHIP__RENEW_S": "1",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """What is there to be broken, and who looks at it."""

    installation: Installation
    redis: RedisServer
    prometheus: Prometheus


@contextlib.contextmanager
def _redis_killed(on: Watched) -> Iterator[None]:
    on.redis.kill()
    yield
    on.redis.start()


@contextlib.contextmanager
def _instance_killed(on: Watched) -> Iterator[None]:
    on.installation.instances[0].kill()
    on.installation.instances[0].wait()
    yield
    on.installation.restart_instance(0).wait_ready()


@contextlib.contextmanager
def _connections_held(on: Watched) -> Iterator[None]:
    here = on.installation
    with (
        here.postgres.session("BEGIN; LOCK TABLE titan_document IN ACCESS EXCLUSIVE MODE", here.database),
        traffic(here.urls[0], clients=HELD),
    ):
        yield
        here.postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE mode = 'AccessExclusiveLock'")


@contextlib.contextmanager
def _database_killed(on: Watched) -> Iterator[None]:
    with traffic(on.installation.urls[0], clients=4):
        on.installation.postgres.kill()
        yield
        on.installation.postgres.start()


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that breaks, and the alert that has to say so."""

    title: str
    alert: str
    broken: Callable[[Watched], contextlib.AbstractContextManager[None]]
    needs: str = ""

    def play(self, folder: Path, seeds: Sequence[int], keep: Callable[[Report, Installation | None], None]) -> None:
        """Play a round per seed on one installation."""
        with (
            running_redis() as redis,
            plain(folder, settings={**SETTINGS, "REDIS_URL": redis.url()}) as here,
            watching(folder / "prometheus", [each.port for each in here.instances], every_s=EVERY_S) as prometheus,
        ):
            for seed in seeds:
                keep(self._round(Watched(here, redis, prometheus), seed), here)

    def _round(self, on: Watched, seed: int) -> Report:
        report = Report(f"{self.title}: {self.alert}", seed)
        if not _came(lambda: on.prometheus.up() == 2 and not on.prometheus.firing(), OVER_WITHIN_S):
            report.findings.append(f"before anything was broken: {_names(on.prometheus.firing())}")
        with self.broken(on):
            began = time.monotonic()
            if _came(lambda: self.alert in on.prometheus.firing(), FIRES_WITHIN_S):
                took_s = time.monotonic() - began
                report.title += f" after {took_s:.1f} s, with {_names(on.prometheus.firing() - {self.alert})}"
            else:
                report.findings.append(f"{self.alert} did not fire, but {_names(on.prometheus.firing())}")
        mended = time.monotonic()
        if not _came(lambda: not on.prometheus.firing(), OVER_WITHIN_S):
            report.findings.append(f"mended, and still: {_names(on.prometheus.firing())}")
        report.ready_s = time.monotonic() - mended
        return report


def _came(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(EVERY_S / 4)
    return True


def _names(alerts: set[str]) -> str:
    return ", ".join(sorted(alerts)) or "none"


ALARMS = {
    "no-leader": Alarm("Redis killed", "TitanNoLeader", _redis_killed),
    "instance": Alarm("an instance killed", "TitanInstanceDown", _instance_killed),
    "connections": Alarm(f"{HELD} connections held", "TitanDatabaseConnectionsLow", _connections_held),
    "errors": Alarm("the database killed under traffic", "TitanErrorRateHigh", _database_killed),
}
