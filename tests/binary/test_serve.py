"""The binary as a server, in a root that holds nothing but glibc and itself."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.support.bare_root import USER, family, serving_inside
from tests.support.postgres import Postgres
from tests.support.redis import running_redis
from tests.support.server import ROOT
from tests.support.waiting import wait_until
from titan.model.identifiers import encode_identifier

EXAMPLE = ROOT / "deploy/examples/pump-station.json"
SHELL = "https://example.com/pumps/aas/P-101"


def curl(*arguments: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-m", "10", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_serves_the_api_and_its_pages_and_imports_and_exports_beside_itself(inside, tmp_path):
    (inside.state / "pump-station.json").write_bytes(EXAMPLE.read_bytes())
    with serving_inside(inside) as server:
        inside.titan("import", "/state/pump-station.json")
        shell = json.loads(curl(f"{server.url}/shells/{encode_identifier(SHELL)}"))
        assert shell["id"] == SHELL
        assert "GetAllAssetAdministrationShells" in curl(f"{server.url}/docs")
        assert json.loads(curl(f"{server.url}/openapi.json"))["openapi"].startswith("3.")
        assert "http_requests_in_progress" in curl(f"{server.url}/metrics")
        thumbnail = f"{server.url}/shells/{encode_identifier(SHELL)}/asset-information/thumbnail"
        (tmp_path / "big.png").write_bytes(os.urandom(3_000_000))
        curl("-X", "PUT", "-F", "fileName=big.png", "-F", f"file=@{tmp_path / 'big.png'};type=image/png", thumbnail)
        curl("-o", str(tmp_path / "back.png"), thumbnail)
        assert (tmp_path / "back.png").read_bytes() == (tmp_path / "big.png").read_bytes()
        inside.titan("db", "backup", "/state/backup.db")
        inside.titan("check-health", "ready", TITAN_PORT=str(server.port))
        assert "sqlite_writer" in inside.titan("status", TITAN_PORT=str(server.port)).stdout
    inside.titan("db", "check")
    inside.titan("export", "/state/exported.json")
    exported = json.loads((inside.state / "exported.json").read_text())
    assert SHELL in [shell["id"] for shell in exported["assetAdministrationShells"]]
    inside.titan("validate", "/state/exported.json")


def test_all_of_its_processes_run_the_unpacked_binary_and_not_as_root(inside):
    with serving_inside(inside) as server:
        processes = family(inside)
        assert server.pid in processes  # it became the server: nothing stands between it and whoever started it
        assert len(processes) == 2  # and the writer
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes} == {USER}


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(inside):
    body = json.dumps({"modelType": "Submodel", "id": "urn:x:1"}).encode()
    fields = ("Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue")
    with serving_inside(inside) as server, socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall("\r\n".join(("POST /submodels HTTP/1.1", *fields, "", "")).encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100")  # it waits for the body
        server.terminate()
        wait_until(lambda: "draining" in server.logs(), what="the drain")
        client.sendall(body)
        assert client.recv(1000).startswith(b"HTTP/1.1 201")
        assert server.wait() == 0
        assert family(inside) == set()


def test_sigkill_of_the_one_that_was_started_leaves_no_server_behind(inside):
    with serving_inside(inside) as server:
        httpx.post(f"{server.url}/submodels", json={"modelType": "Submodel", "id": "urn:x:1"}).raise_for_status()
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        wait_until(lambda: not family(inside), within_s=20, what="the end of all of its processes")
    with serving_inside(inside) as again:
        assert len(httpx.get(f"{again.url}/submodels").json()["result"]) == 1


def test_systemd_is_told_by_the_process_that_it_started(inside):
    name = f"titan-binary-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.settimeout(20)
        with serving_inside(inside, NOTIFY_SOCKET=f"@{name}", WATCHDOG_USEC="1000000") as server:
            for wanted in ("READY=1", "WATCHDOG=1", "STOPPING=1"):
                if wanted == "STOPPING=1":
                    server.terminate()
                text, sender = heard(manager, wanted)
                assert sender == server.pid  # what NotifyAccess=main asks for
                assert wanted != "READY=1" or f"MAINPID={server.pid}" in text.splitlines()
            assert server.wait() == 0


def heard(manager: socket.socket, wanted: str) -> tuple[str, int]:
    """Return the next message with this line, and the process that sent it."""
    while True:
        text, ancillary, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(12))
        if wanted in text.decode().splitlines():
            [(_, kind, credentials)] = ancillary
            assert kind == socket.SCM_CREDENTIALS
            return text.decode(), int.from_bytes(credentials[:4], "little")


@contextlib.contextmanager
def empty_database(server: Postgres) -> Iterator[str]:
    url = server.create_database("binary")
    try:
        yield url
    finally:
        server.drop_database("binary")


def test_on_postgresql_and_redis(inside, postgres: Postgres):
    with empty_database(postgres) as url, running_redis() as redis:
        remotes = {"DATABASE_URL": url, "REDIS_URL": redis.url()}
        assert "schema" in inside.titan("serve", code=4, **remotes).stderr
        inside.titan("db", "upgrade", **remotes)
        with serving_inside(inside, **remotes) as server:
            httpx.post(f"{server.url}/submodels", json={"modelType": "Submodel", "id": "urn:x:1"}).raise_for_status()
            assert json.loads(curl(f"{server.url}/submodels/{encode_identifier('urn:x:1')}"))["id"] == "urn:x:1"
            checks = json.loads(curl(f"{server.url}/health/ready"))["checks"]
            assert {checks[name]["status"] for name in ("database", "redis")} == {"up"}
            assert "leader" in inside.titan("leader", "status", **remotes).stdout
            server.terminate()
            assert server.wait() == 0
