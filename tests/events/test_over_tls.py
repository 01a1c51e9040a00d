"""Streams over TLS, and at a drain that goes on listening for a while (http.drain_delay_s)."""

import ssl
import time

import httpx
import pytest
from trustme import CA

from tests.support.documents import shell
from tests.support.events import parse
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until
from tests.support.websocket import telling

DRAIN_DELAY_S = 5.0


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return folder, context


def test_streams_over_tls_end_at_the_beginning_of_a_drain_that_goes_on_listening(trusted, tmp_path):
    folder, context = trusted
    port = free_port()
    settings = {
        "TITAN_HTTP__TLS_CERT": str(folder / "tls.crt"),
        "TITAN_HTTP__TLS_KEY": str(folder / "tls.key"),
        "TITAN_HTTP__DRAIN_DELAY_S": str(DRAIN_DELAY_S),
    }
    server = Server(tmp_path / "data", port=port, settings=settings)
    url = f"https://localhost:{port}"
    try:
        with httpx.Client(base_url=url, verify=context) as client:
            wait_until(lambda: answers(client), within_s=20, what="a ready server")
            with client.stream("GET", "/events") as sse, telling(url, ssl=context) as told:
                blocks = sse.iter_lines()
                assert client.post("/shells", json=shell("urn:tls")).status_code == 201
                event = told.event()
                server.terminate()
                terminated = time.monotonic()
                last, code = told.end()
                assert (last["reason"], last["cursor"], code) == ("leaving", event["cursor"], 1012)
                lines = "\n".join(blocks)  # to its end
                assert parse(lines.strip().rpartition("\n\n")[2]).data["reason"] == "leaving"
                assert time.monotonic() - terminated < DRAIN_DELAY_S / 2
            refused = client.get("/events?wait=0")  # still listening: requests are answered, streams are not begun
            assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            assert client.get("/shells").status_code == 200
            assert time.monotonic() - terminated < DRAIN_DELAY_S
        assert server.wait() == 0
    finally:
        server.stop()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False
