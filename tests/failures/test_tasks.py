"""The leader's tasks in whole servers: once a period whoever leads, and on after the leader is killed in the middle."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.documents import shell, submodel
from tests.support.places import Place
from tests.support.postgres import Postgres
from tests.support.server import ROOT, Server, clean_environment, serving
from tests.support.waiting import wait_until

TTL_S = 1.5
QUICK = {"TITAN_LEADERSHIP__TTL_S": str(TTL_S), "TITAN_LEADERSHIP__RENEW_S": "0.4", "TITAN_LOG_FORMAT": "json"}
FILES = 3000


def titan(place: Place, *arguments: str, name: str = "a") -> subprocess.CompletedProcess[str]:
    """Run a command on the store of these servers."""
    own = {"TITAN_DATA_DIR": str(place.folder / name)}
    if place.database_url:
        own["DATABASE_URL"] = place.database_url
    return subprocess.run(
        [sys.executable, "-m", "titan", *arguments],
        env=clean_environment(own),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rows(place: Place) -> dict[str, dict[str, Any]]:
    done = titan(place, "tasks", "--json")
    assert done.returncode == 0, done.stderr
    return {row["task"]: row for row in json.loads(done.stdout)}


def lines(server: Server, event: str, task: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in server.logs().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event and line.get("task") == task]


def samples(server: Server, name: str) -> dict[str, float]:
    """Return a metric's values by what stands between its braces."""
    text = httpx.get(f"{server.url}/metrics").text
    found = [line.rpartition(" ") for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] == name]
    return {label.partition("{")[2].rstrip("}"): float(value) for label, _, value in found}


def first_runs_are_over(place: Place) -> None:
    """Return once every task has run; at its start a new installation owes all of them."""
    wait_until(
        lambda: all(row.get("runs") and row["state"] == "succeeded" for row in rows(place).values()),
        within_s=30,
        what="the first run of every task",
    )


def test_a_leader_killed_in_the_middle_of_a_task_is_followed_by_one_that_goes_on(shared: Place, postgres: Postgres):
    def left() -> int:
        return int(postgres.psql("SELECT count(*) FROM titan_blob", shared.database))

    with shared.serving("a", **QUICK) as leader, shared.serving("b", **QUICK) as other:
        first_runs_are_over(shared)
        runs = rows(shared)["blob-cleanup"]["runs"]
        postgres.psql(
            "INSERT INTO titan_blob (key, size, touched_ms, state) SELECT repeat(md5(n::text), 2) || '-' ||"
            f" md5(n::text), 1, 0, 1 FROM generate_series(1, {FILES}) AS n;"
            " INSERT INTO titan_blob_chunk SELECT n, 0, 'x' FROM titan_blob",
            shared.database,
        )
        assert titan(shared, "tasks", "run", "blob-cleanup").returncode == 0
        wait_until(lambda: left() < FILES - 100, what="the begin of the sweep")
        leader.kill()
        leader.wait()
        killed_at = left()
        assert 0 < killed_at < FILES
        wait_until(lambda: left() == 0, within_s=TTL_S + 30, what="the end of the sweep by the other instance")
        wait_until(lambda: rows(shared)["blob-cleanup"]["state"] == "succeeded", what="the note of its end")
        row = rows(shared)["blob-cleanup"]
        assert (row["runs"], row["requested"]) == (runs + 1, None)
        assert [line["resumed"] for line in lines(other, "task begun", "blob-cleanup")] == [True]
        assert len(lines(other, "task ended", "blob-cleanup")) == 1
        assert len(lines(leader, "task ended", "blob-cleanup")) == runs
        assert other.is_ready()
        print(f"killed with {killed_at:,} of {FILES:,} files left")


PERIOD_S = 1.0


def test_figures_are_written_once_a_period_whoever_leads(shared: Place, postgres: Postgres):
    """Every write of figures is noted by a trigger while leaders are drained, killed and started again."""
    settings = {**QUICK, "TITAN_TASKS__METRICS_AGGREGATION_EVERY_S": str(PERIOD_S)}
    postgres.psql(
        "CREATE TABLE written (at bigint); ALTER TABLE written OWNER TO titan;"
        " CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO written VALUES (NEW.value); RETURN NEW; END $$;"
        " CREATE TRIGGER note AFTER INSERT ON titan_figure FOR EACH ROW WHEN (NEW.name = 'counted_ms')"
        " EXECUTE FUNCTION note()",
        shared.database,
    )

    def written() -> list[int]:
        return [int(at) for at in postgres.psql("SELECT at FROM written ORDER BY at", shared.database).split()]

    def two_more() -> None:
        before = len(written())
        wait_until(lambda: len(written()) >= before + 2, within_s=30, what="two further periods")

    began = time.monotonic()
    with ExitStack() as servers:
        leader = servers.enter_context(shared.serving("0", **settings))
        for number, end in enumerate(("kill", "terminate", "kill"), start=1):
            follower = servers.enter_context(shared.serving(str(number), **settings))
            two_more()
            getattr(leader, end)()
            leader.wait()
            assert lines(leader, "task ended", "metrics-aggregation"), "it led"
            two_more()
            leader = follower
    took_s = time.monotonic() - began
    times = written()
    gaps_s = [(after - before) / 1000 for before, after in pairwise(times)]
    assert min(gaps_s) >= PERIOD_S - 0.05, gaps_s
    assert len(times) <= took_s / PERIOD_S + 1
    assert rows(shared)["metrics-aggregation"]["runs"] == len(times)
    print(f"{len(times)} periods in {took_s:.1f} s, gaps {min(gaps_s):.2f} to {max(gaps_s):.2f} s")


def shows(server: Server, documents: dict[str, float]) -> bool:
    return samples(server, "titan_documents") == documents


def test_every_instance_shows_what_the_leader_counted(shared: Place, postgres: Postgres):
    with shared.serving("a", **QUICK) as a, shared.serving("b", **QUICK) as b:
        first_runs_are_over(shared)
        postgres.psql(
            "INSERT INTO titan_task (name, due_ms, ended_ms, outcome, succeeded_ms, runs)"
            " SELECT 'no-longer-configured', due_ms, ended_ms, outcome, 1, 1 FROM titan_task LIMIT 1",
            shared.database,
        )
        semantic_id = {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": "urn:t"}]}
        httpx.post(f"{a.url}/submodels", json=submodel(semanticId=semantic_id)).raise_for_status()
        httpx.post(f"{a.url}/shells", json=shell()).raise_for_status()
        done = titan(shared, "tasks", "run", "metrics-aggregation", "--wait", "20")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            "metrics-aggregation: succeeded: counted 1 shells, 1 submodels, 0 concept-descriptions\n"
        )
        documents = {'kind="shell"': 1.0, 'kind="submodel"': 1.0, 'kind="concept-description"': 0.0}
        for server in (a, b):
            wait_until(partial(shows, server, documents), what="the figures")
            assert samples(server, "titan_submodels") == {'template="urn:t"': 1.0}
            assert samples(server, "titan_store_bytes")[""] > 100_000
            [age_s] = [time.time() - at for at in samples(server, "titan_counted_timestamp_seconds").values()]
            assert age_s < 30
        runs = [
            samples(server, "titan_leader_task_runs_total")['outcome="succeeded",task="metrics-aggregation"']
            for server in (a, b)
        ]
        assert sorted(runs) == [0.0, rows(shared)["metrics-aggregation"]["runs"]]
        last = [samples(server, "titan_leader_task_last_success_timestamp_seconds") for server in (a, b)]
        assert last[0] == last[1]
        assert len(last[0]) == 4  # an alert on what nobody runs any more would never end


def test_a_failing_task_turns_neither_readiness_nor_its_siblings(shared: Place, postgres: Postgres):
    with shared.serving("a", **QUICK) as server:
        first_runs_are_over(shared)
        postgres.psql("REVOKE DELETE ON titan_idempotency FROM titan", shared.database)
        done = titan(shared, "tasks", "run", "session-cleanup", "--wait", "20")
        assert done.returncode == 1
        assert "session-cleanup: failed: the database refuses: permission denied" in done.stdout
        row = rows(shared)["session-cleanup"]
        assert (row["failures"], row["outcome"]) == (1, "failed")
        ready = httpx.get(f"{server.url}/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert titan(shared, "tasks", "run", "metrics-aggregation", "--wait", "20").returncode == 0
        restarts = samples(server, "titan_actor_restarts_total")
        assert {name: count for name, count in restarts.items() if "cleanup-worker" in name and count} == {}
        failed = samples(server, "titan_leader_task_runs_total")['outcome="failed",task="session-cleanup"']
        assert failed == 1
        postgres.psql("GRANT DELETE ON titan_idempotency TO titan", shared.database)
        assert titan(shared, "tasks", "run", "session-cleanup", "--wait", "20").returncode == 0
        assert rows(shared)["session-cleanup"]["failures"] == 0


@pytest.mark.parametrize("task", ["session-cleanup", "outbox-trim", "blob-cleanup"])
def test_a_task_is_run_on_request_beside_a_server_on_either_store(place: Place, task: str):
    with place.serving("a", **QUICK) as server:
        first_runs_are_over(place)
        done = titan(place, "tasks", "run", task, "--wait", "20")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{task}: succeeded: 0 ")
        assert len(lines(server, "task ended", task)) == 2


def test_an_instance_pulls_from_another_as_configured_and_on_request(tmp_path: Path):
    place = Place(tmp_path)
    with serving(tmp_path / "other") as other:
        httpx.post(f"{other.url}/shells", json=shell("urn:theirs")).raise_for_status()
        sources = [{"name": "other", "url": other.url, "interval_s": 3600}]
        settings = {"TITAN_SYNC__SOURCES": json.dumps(sources), "TITAN_SYNC__ALLOWED_NETWORKS": "127.0.0.0/8"}
        with place.serving("a", **QUICK, **settings) as server:
            wait_until(lambda: is_there(server, "urn:theirs"), what="the first pull")
            httpx.post(f"{other.url}/shells", json=shell("urn:new")).raise_for_status()
            own = {"TITAN_DATA_DIR": str(tmp_path / "a"), **settings}
            done = subprocess.run(
                [sys.executable, "-m", "titan", "tasks", "run", "external-sync", "--wait", "20"],
                env=clean_environment(own),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("external-sync:other: succeeded: other: 1 created")
            assert is_there(server, "urn:new")
            pulled = samples(server, "titan_sync_documents_total")
            assert pulled['kind="shell",outcome="created",source="other"'] == 2


def is_there(server: Server, identifier: str) -> bool:
    return identifier in {one["id"] for one in httpx.get(f"{server.url}/shells").json()["result"]}
