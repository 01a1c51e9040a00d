"""The process over PostgreSQL: what it shows, and what it does where the database is away or has the wrong schema."""

import time
from pathlib import Path

import httpx
import pytest

from tests.supervisors.support import node, one_line, run_serve, wait_for_restart
from tests.support import hooked
from tests.support.documents import shell
from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database
from tests.support.server import Server, free_port, serving
from tests.support.traffic import traffic


@pytest.fixture
def url(postgres):
    with fresh_database(postgres) as name:
        yield postgres.url(name)


def test_two_instances_serve_one_database(url, tmp_path):
    settings = {"DATABASE_URL": url}
    with serving(tmp_path / "a", settings=settings) as a, serving(tmp_path / "b", settings=settings) as b:
        assert httpx.post(f"{a.url}/shells", json=shell()).status_code == 201
        assert httpx.get(f"{b.url}/shells").json()["result"] == [shell()]
        for server in (a, b):
            ready = httpx.get(f"{server.url}/health/ready").json()
            assert ready["checks"]["database"]["status"] == "up"
            assert "titan_secret" not in server.logs()
        assert not (tmp_path / "a").exists()  # no data folder where there is no embedded store


def test_the_pool_is_shown_as_metrics(url, tmp_path):
    with serving(tmp_path / "a", settings={"DATABASE_URL": url, "TITAN_DATABASE__POOL_SIZE": "7"}) as server:
        httpx.get(f"{server.url}/shells")
        lines = httpx.get(f"{server.url}/metrics").text.splitlines()
        assert "pg_pool_available_connections 7.0" in lines
        assert any(line.startswith("pg_pool_wait_seconds_count") for line in lines)


def test_an_actor_of_the_store_that_crashes_is_restarted(url, tmp_path):
    settings = {"DATABASE_URL": url, "HOOK_SOCKET": str(tmp_path / "hook")}
    with serving(tmp_path / "a", settings=settings, program=hooked.PROGRAM) as server:
        for path in ("titan/stores/database", "titan/stores/island"):
            assert hooked.order(tmp_path / "hook", f"fail {path}") == "done"
            if path.endswith("island"):
                wait_for_restart(server, path)
            server.wait_ready()
            assert node(server, path)["last_error"] == "InjectedFault: injected by the test"
        assert httpx.get(f"{server.url}/shells").status_code == 200


def test_when_the_islands_thread_dies_under_load_requests_get_503_and_nothing_acknowledged_is_lost(url, tmp_path):
    settings = {"DATABASE_URL": url, "HOOK_SOCKET": str(tmp_path / "hook")}
    with serving(tmp_path / "a", settings=settings, program=hooked.PROGRAM) as server:
        with traffic(server.url, clients=8) as sent:
            sent.wait_for(100)
            assert hooked.order(tmp_path / "hook", "kill-island") == "done"
            wait_for_restart(server, "titan/stores/island")
            server.wait_ready()
            sent.wait_for(100)
        assert server.exit_code is None
        assert node(server, "titan/stores/island")["restarts"] == 1
        assert node(server, "titan/stores")["restarts"] == 0
        assert {outcome.status for outcome in sent.lost()} == {503}
        acknowledged = {o.document_id for o in sent.outcomes if (o.method, o.status) == ("POST", 201)}
        kept = {one["id"] for one in everything(server)}
        assert acknowledged - kept == set()


def everything(server: Server) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    page = httpx.get(f"{server.url}/submodels?limit=1000").json()
    found += page["result"]
    while cursor := page["paging_metadata"].get("cursor"):
        page = httpx.get(f"{server.url}/submodels", params={"limit": "1000", "cursor": cursor}).json()
        found += page["result"]
    return found


def test_while_the_database_is_away_it_starts_and_is_unready_with_the_reason(tmp_path):
    port = free_port()
    server = Server(tmp_path / "a", settings={"DATABASE_URL": f"postgresql://titan@127.0.0.1:{port}/titan"})
    try:
        ready = wait_for_answer(server)
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"]["status"] == "down"
        assert "Connection refused" in ready.json()["checks"]["database"]["detail"]
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        answer = httpx.get(f"{server.url}/shells")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "Connection refused" in server.logs()
    finally:
        server.stop()
    assert server.exit_code == 0


def wait_for_answer(server: Server) -> httpx.Response:
    deadline = time.monotonic() + 15
    while True:
        try:
            return httpx.get(f"{server.url}/health/ready")
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_schema_that_it_cannot_serve_ends_it_with_4(postgres: Postgres, tmp_path: Path):
    url = postgres.create_database("titan_empty")
    try:
        code, output = run_serve(tmp_path / "a", settings={"DATABASE_URL": url})
    finally:
        postgres.drop_database("titan_empty")
    assert code == 4
    assert "titan db upgrade" in one_line(output)
