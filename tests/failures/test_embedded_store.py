"""What clients of a server with the embedded store see when its disk, its writer process or the whole server fails."""

import os
import random
import signal
import threading
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import httpx
import pytest

from tests.bench.twins import submodel
from tests.support.server import Server, serving
from tests.support.slow_fsync import MISSING, callers, slow_fsync
from tests.support.small_disk import small_disk
from tests.support.traffic import Sent, traffic
from tests.support.waiting import wait_until
from titan.store.sqlite.check import findings

JSON = {"Content-Type": "application/json"}
SERVER_KILLS = 3
WRITER_KILLS = 3


def url_of(server: Server, document_id: str) -> str:
    return f"{server.url}/submodels/{urlsafe_b64encode(document_id.encode()).decode().rstrip('=')}"


def missing(server: Server, sent: Sent) -> list[str]:
    """Return every document whose POST was answered 201 and that cannot be read now."""
    with httpx.Client() as client:
        return [
            outcome.document_id
            for outcome in sent.outcomes
            if (outcome.method, outcome.status) == ("POST", 201)
            and client.get(url_of(server, outcome.document_id)).status_code != 200
        ]


def writer_of(server: Server) -> int | None:
    """Return the writer process of a server, its only child; None while there is none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if int(parent) == server.pid and state != "Z":
            return int(stat.parent.name)
    return None


def test_a_full_disk_is_said_reads_go_on_and_all_is_well_once_there_is_room(tmp_path):
    with small_disk(tmp_path / "disk") as disk, serving(disk / "data") as server, httpx.Client() as client:
        acknowledged: list[str] = []
        while True:
            document_id = f"urn:{len(acknowledged)}"
            answer = client.post(f"{server.url}/submodels", content=submodel(document_id, 20_000), headers=JSON)
            if answer.status_code != 201:
                break
            acknowledged.append(document_id)
        assert answer.status_code == 507
        assert "no space left for the database" in answer.json()["messages"][0]["text"]
        assert len(acknowledged) > 20
        assert [client.get(url_of(server, one)).status_code for one in acknowledged] == [200] * len(acknowledged)
        ready = wait_for_ready(server, "degraded")
        assert "no space left" in ready["checks"]["database"]["detail"]
        wait_until(lambda: "because=" in server.logs(), what="the reason in the request's line")
        pid = server.pid
        (disk / "ballast").unlink()
        wait_for_ready(server, "ready")
        again = client.post(f"{server.url}/submodels", content=submodel(document_id, 20_000), headers=JSON)
        assert again.status_code == 201
        assert server.pid == pid
        assert server.exit_code is None


def wait_for_ready(server: Server, status: str) -> dict[str, dict[str, dict[str, str]]]:
    deadline = time.monotonic() + 10
    while True:
        found = httpx.get(f"{server.url}/health/ready").json()
        if found["status"] == status:
            return dict(found)
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_the_writer_process_is_killed_again_and_again(tmp_path):
    """Writes under way are answered 503, reads never; nothing acknowledged is lost and the server stays."""
    rng = random.Random(1)
    with serving(tmp_path / "data") as server:
        with traffic(server.url, clients=8) as sent:
            for _ in range(WRITER_KILLS):
                sent.wait_for(50)
                time.sleep(rng.uniform(0, 0.05))
                pid = writer_of(server)
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + 10
                while writer_of(server) in {None, pid}:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            sent.wait_for(50)
        assert {(one.method, one.status) for one in sent.lost()} <= {("POST", 503)}
        assert missing(server, sent) == []
        assert server.exit_code is None
    assert list(findings(tmp_path / "data" / "titan.db")) == []


def test_the_server_is_killed_again_and_again(tmp_path):
    rng = random.Random(2)
    acknowledged = 0
    sent = Sent()
    for _ in range(SERVER_KILLS):
        with serving(tmp_path / "data") as server:
            assert missing(server, sent) == []
            with traffic(server.url, clients=8, pause_s=0.001) as sent:
                sent.wait_for(40)
                time.sleep(rng.uniform(0, 0.1))
                server.kill()
                server.wait()
            acknowledged += sent.statuses()["POST", 201]
    with serving(tmp_path / "data") as server:
        assert missing(server, sent) == []
    assert acknowledged > 20 * SERVER_KILLS
    assert list(findings(tmp_path / "data" / "titan.db")) == []


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_a_slow_disk_makes_writers_wait_and_nobody_else(tmp_path):
    slow = slow_fsync(tmp_path, 0.05)
    alive: list[int] = []
    over = threading.Event()
    with serving(tmp_path / "data", settings=slow) as server:

        def ask() -> None:
            with httpx.Client() as client:
                while not over.is_set():
                    alive.append(client.get(f"{server.url}/health/live").status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        with traffic(server.url, clients=8) as sent:
            sent.wait_for(300)
        over.set()
        asking.join()
        assert server.pid not in callers(slow), "the server's own process waited for the disk"
    assert sent.lost() == []
    assert set(alive) == {200}
    took = {method: sorted(one.took_s for one in sent.outcomes if one.method == method) for method in ("POST", "GET")}
    assert took["POST"][0] > 0.05
    assert took["GET"][len(took["GET"]) // 2] < 0.05
