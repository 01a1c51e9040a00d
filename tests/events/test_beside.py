"""What an import beside a running server writes is told as well; a client that does not read is cut and nobody else."""

import json
import socket
import struct
import sys
import time

import httpx
import pytest
import trio

from tests.bench.listeners import listening
from tests.bench.twins import submodel
from tests.support.documents import shell
from tests.support.events import following
from tests.support.server import Server, clean_environment, serving
from tests.support.websocket import request

IMPORTED = 500
BODY_BYTES = 60_000
JSON = {"Content-Type": "application/json"}
SSE = b"GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def test_an_import_beside_the_server_is_told(tmp_path):
    data = tmp_path / "data"
    environment = {"assetAdministrationShells": [shell(f"urn:imported:{number}") for number in range(IMPORTED)]}
    (tmp_path / "many.json").write_text(json.dumps(environment))
    command = [sys.executable, "-m", "titan", "import", str(tmp_path / "many.json")]
    with serving(data) as server:
        async with following(server.url) as client:
            settings = clean_environment({"TITAN_DATA_DIR": str(data)})
            done = await trio.run_process(command, env=settings, capture_stdout=True, capture_stderr=True, check=False)
            assert done.returncode == 0, done.stderr
            heard = await client.events(IMPORTED)
    assert {event["subject"] for event in heard} == {f"urn:imported:{number}" for number in range(IMPORTED)}


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_that_does_not_read_is_cut_and_holds_up_nobody(tmp_path, transport):
    with serving(tmp_path / "data") as server, listening(server.url, 1) as quick:
        slow = deaf(server.port, SSE if transport == "sse" else request())
        written = 0
        deadline = time.monotonic() + 60
        with slow, httpx.Client() as client:
            while dropped(server) == 0:
                assert time.monotonic() < deadline, "it was never cut"
                body = submodel(f"urn:large:{written}", BODY_BYTES)
                assert client.post(f"{server.url}/submodels", content=body, headers=JSON).status_code == 201
                written += 1
                quick.wait_for(written, within_s=20)
            said = read_all(slow)
    assert b'"reason":"slow"' in said
    if transport == "sse":
        assert b"event: end" in said
    else:
        assert said.endswith(b"\x88\x06" + struct.pack("!H", 1013) + b"slow")  # the frame that closes it


def deaf(port: int, asked: bytes) -> socket.socket:
    """Return a client that asked and reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(asked)
    return sock


def read_all(slow: socket.socket) -> bytes:
    """Return all that waited for it."""
    slow.settimeout(10)
    said = b""
    while data := slow.recv(1 << 20):
        said += data
    return said


def dropped(server: Server) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    name = "titan_events_dropped_clients_total "
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))
