"""Two instances with a read replica, to which something happens: every request is answered, no session goes back.

The instances stay ready, degraded at worst; they are the same processes afterwards, with nothing restarted.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.installation import Installation, installed
from tests.chaos.sabotaged import PROGRAM as SABOTAGED
from tests.support.postgres import Postgres, running_server
from tests.support.server import PROGRAM
from tests.support.sessions import Traffic, sessions
from tests.support.waiting import wait_until

MAX_LAG_S = 2.0


@dataclass(frozen=True)
class Rig:
    """Two instances over a primary, with a standby that they read from."""

    here: Installation
    standby: Postgres

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The check `replica` of each instance, all of which must be ready."""
        found = []
        for url in self.here.urls:
            answer = httpx.get(f"{url}/health/ready")
            assert answer.status_code == 200, answer.text
            found.append(answer.json()["checks"]["replica"])
        return found

    def wait(self, status: str, *, within_s: float) -> float:
        """Return how long it took until every instance said so."""
        begun = time.monotonic()
        wait_until(lambda: all(check["status"] == status for check in self.checks), within_s=within_s, what=status)
        return time.monotonic() - begun

    def metric(self, name: str, /, **labels: str) -> float | None:
        """Return the sum over instances; None where none shows it."""
        values = [
            sample.value
            for url in self.here.urls
            for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        return sum(values) if values else None

    @property
    def answered(self) -> float:
        """How many reads the replica has answered."""
        return self.metric("titan_cache_requests_total", tier="replica", outcome="hit") or 0


@pytest.fixture
def rig(folder: Path) -> Iterator[Rig]:
    with made_rig(folder) as made:
        yield made


@contextmanager
def made_rig(folder: Path, *, program: Sequence[str] = PROGRAM, **settings: str) -> Iterator[Rig]:
    with running_server() as primary:
        standby = primary.standby(synchronous=False)
        try:
            settings["TITAN_DATABASE__REPLICA_MAX_LAG_S"] = str(MAX_LAG_S)
            with installed(primary, folder, settings=settings, program=program, read_url=standby.url) as here:
                made = Rig(here, standby)
                made.wait("up", within_s=5)
                pids = [instance.pid for instance in here.instances]
                yield made
                assert [instance.pid for instance in here.instances] == pids
                assert [instance.exit_code for instance in here.instances] == [None, None]
                assert here.restarts() == 0
        finally:
            standby.remove()


def assert_all_is_well(traffic: Traffic) -> None:
    assert traffic.violations == []
    assert traffic.failed == []
    assert traffic.slowest_s < 2


def wait_until_read(rig: Rig) -> None:
    """Return once the replica answers again."""
    before = rig.answered
    wait_until(lambda: rig.answered > before, within_s=10, what="a read at the replica")


def delay(standby: Postgres) -> None:
    """Have it show everything a bit late, less than the second that it may be."""
    standby.psql("ALTER SYSTEM SET recovery_min_apply_delay = '200ms'")
    standby.psql("SELECT pg_reload_conf()")


def test_it_is_late_by_less_than_it_may_be(rig):
    with sessions(rig.here.urls) as traffic:
        wait_until_read(rig)
        delay(rig.standby)
        traffic.wait_for(500)
        assert rig.checks[0]["status"] == "up"
    assert_all_is_well(traffic)


def test_control_without_the_sessions_marks_they_go_back(folder):
    with made_rig(folder, program=SABOTAGED, SABOTAGE="forgetful") as rig:
        delay(rig.standby)
        with sessions(rig.here.urls) as traffic:
            wait_until(lambda: traffic.violations, within_s=10, what="a session that does not read its own write")


def test_its_replay_is_paused(rig):
    """Sessions are right all the time; who must not be older than a second gets it from the primary."""
    with sessions(rig.here.urls) as traffic:
        wait_until_read(rig)
        rig.standby.psql("SELECT pg_wal_replay_pause()")
        took_s = rig.wait("degraded", within_s=MAX_LAG_S + 3)
        assert took_s <= MAX_LAG_S + 2
        assert "behind the primary" in rig.checks[0]["detail"]
        assert (rig.metric("pg_replica_lag_seconds") or 0) > 2 * MAX_LAG_S
        assert rig.metric("titan_up_dependency", name="replica") == 0
        before = rig.answered
        traffic.wait_for(100)
        assert rig.answered == before
        rig.standby.psql("SELECT pg_wal_replay_resume()")
        rig.wait("up", within_s=5)
        assert rig.metric("titan_up_dependency", name="replica") == 2
        wait_until_read(rig)
    assert_all_is_well(traffic)


def test_it_is_killed_and_comes_back(rig):
    with sessions(rig.here.urls) as traffic:
        wait_until_read(rig)
        rig.standby.kill()
        assert rig.wait("degraded", within_s=3) <= 2
        assert rig.metric("pg_replica_lag_seconds") is None
        traffic.wait_for(100)
        rig.standby.start()
        rig.wait("up", within_s=5)
        wait_until_read(rig)
    assert_all_is_well(traffic)


def test_it_is_frozen_and_thaws(rig):
    with sessions(rig.here.urls) as traffic:
        wait_until_read(rig)
        rig.standby.freeze()
        assert rig.wait("degraded", within_s=3) <= 2
        traffic.wait_for(100)
        rig.standby.thaw()
        rig.wait("up", within_s=5)
        wait_until_read(rig)
    assert_all_is_well(traffic)


def test_it_is_promoted_by_mistake(rig):
    """From then on it has a history of its own: nothing of it may ever be shown."""
    with sessions(rig.here.urls) as traffic:
        wait_until_read(rig)
        rig.standby.promote()
        rig.standby.psql("UPDATE titan_document SET header = convert_to('{}', 'UTF8')", rig.here.database)
        rig.wait("degraded", within_s=3)
        assert "no standby" in rig.checks[0]["detail"]
        before = rig.answered
        traffic.wait_for(200)
        assert rig.answered == before
    assert_all_is_well(traffic)


def test_it_is_away_when_an_instance_starts(rig):
    rig.standby.kill()
    third = rig.here.add_instance()
    third.wait_ready()
    rig.wait("degraded", within_s=5)
    with sessions(rig.here.urls) as traffic:
        traffic.wait_for(50)
        rig.standby.start()
        rig.wait("up", within_s=5)
        wait_until_read(rig)
    assert_all_is_well(traffic)
    third.stop()
    rig.here.instances.remove(third)
