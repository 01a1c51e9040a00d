"""An independent client follows the events of one embedded server by WebSocket."""

import socket

import httpx
import pytest

from tests.support.documents import shell
from tests.support.events import following, pages
from tests.support.server import Server, serving
from tests.support.waiting import wait_until
from tests.support.websocket import UPGRADE, request, telling
from titan.model.identifiers import encode_identifier

EVIL = "https://evil.example"
FRIEND = "https://dashboard.example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = {"TITAN_EVENTS__ALLOWED_ORIGINS": FRIEND}
    with serving(tmp_path_factory.mktemp("websocket") / "data", settings=settings) as running:
        yield running


def put(server: Server, document_id: str) -> None:
    path = f"{server.url}/shells/{encode_identifier(document_id)}"
    assert httpx.put(path, json=shell(document_id)).status_code in {201, 204}


def metric(server: Server, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next(float(line.removeprefix(f"{name} ")) for line in lines if line.startswith(f"{name} "))


def clients(server: Server) -> float:
    return metric(server, "titan_events_clients")


def texts(answer: httpx.Response) -> str:
    return " ".join(message["text"] for message in answer.json()["messages"])


async def test_it_tells_what_server_sent_events_tell(server):
    async with following(server.url) as client:
        sent = metric(server, "titan_events_sent_total")
        with telling(server.url) as told:
            assert clients(server) == 2
            for document_id in ("urn:same:1", "urn:same:2", "urn:same:1"):
                put(server, document_id)
            assert told.events(3) == await client.events(3)
    assert metric(server, "titan_events_sent_total") == sent + 6
    wait_until(lambda: clients(server) == 0, what="a place that is free")


def test_who_comes_back_goes_on_behind_the_last_message(server):
    with telling(server.url) as told:
        begin = told.cursor  # of the position, before any event
        put(server, "urn:back:1")
        put(server, "urn:back:2")
        assert told.event()["subject"] == "urn:back:1"
    put(server, "urn:back:3")
    with telling(server.url, f"?cursor={told.cursor}") as again:
        assert [event["subject"] for event in again.events(2)] == ["urn:back:2", "urn:back:3"]
    with telling(server.url, f"?cursor={begin}") as again:
        assert [event["subject"] for event in again.events(3)] == [f"urn:back:{number}" for number in (1, 2, 3)]
    with telling(server.url, "?cursor=oldest") as again:
        oldest = list(pages(server.url, "oldest"))
        assert again.events(len(oldest)) == oldest


@pytest.mark.parametrize("path", ["/events/ws", "/api/v3/events/ws", "/api/v3.1/events/ws"])
def test_it_is_where_the_api_is_and_filters(server, path):
    chosen = f"?id={encode_identifier('urn:chosen')}&type=io.titan-aas.shell.updated"
    with telling(server.url, chosen, path=path) as told:
        for document_id in ("urn:chosen", "urn:other", "urn:chosen"):
            put(server, document_id)
        event = told.event()
        assert (event["subject"], event["type"]) == ("urn:chosen", "io.titan-aas.shell.updated")


@pytest.mark.parametrize(
    ("query", "headers", "status", "said"),
    [
        ("?cursr=x", {}, 400, "unknown query parameter 'cursr'"),
        ("?wait=0", {}, 400, "unknown query parameter 'wait'"),
        ("?cursor=a&cursor=b", {}, 400, "more than once"),
        ("?id=urn:plain", {}, 400, "base64url"),
        ("?id=%ff", {}, 400, "UTF-8"),
        ("?cursor=of-another-database", {}, 410, "Read the documents anew"),
        ("", {"Origin": EVIL}, 403, EVIL),
        ("", {"Sec-WebSocket-Version": "8"}, 426, "13"),
        ("", {"Sec-WebSocket-Key": "short"}, 400, "Sec-WebSocket-Key"),
        ("", {"Upgrade": "h2c"}, 426, "/events"),
    ],
)
def test_a_refusal_is_an_answer_as_any_other(server, query, headers, status, said):
    with httpx.Client() as client:
        answer = client.get(f"{server.url}/events/ws{query}", headers=UPGRADE | headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
        assert said in texts(answer)
    assert clients(server) == 0


def test_other_methods_and_plain_requests_are_refused_with_what_to_do(server):
    plain = httpx.get(f"{server.url}/events/ws")
    assert (plain.status_code, plain.headers["Upgrade"], plain.headers["Connection"]) == (426, "websocket", "Upgrade")
    assert httpx.post(f"{server.url}/events/ws", headers=UPGRADE).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert httpx.head(f"{server.url}/events/ws", headers=UPGRADE).status_code == 426
    assert httpx.get(f"{server.url}/events%2Fws", headers=UPGRADE).status_code == 404
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as old:
        old.sendall(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert old.recv(12) == b"HTTP/1.1 426"


def test_the_running_server_describes_its_feed(server):
    assert {"/events", "/events/ws"} <= set(httpx.get(f"{server.url}/openapi.json").json()["paths"])
    assert "<code>/events/ws</code>" in httpx.get(f"{server.url}/docs").text


def test_pages_of_other_sites_may_follow_where_they_are_named(server):
    with telling(server.url, origin=FRIEND), telling(server.url, origin=server.url):
        assert clients(server) == 2


def test_a_websocket_is_one_request_for_log_and_limit_and_no_more_are_taken_than_allowed(tmp_path):
    settings = {
        "TITAN_SECURITY__REQUESTS_PER_MINUTE": "4",
        "TITAN_EVENTS__MAX_CLIENTS": "1",
        "TITAN_LOG_FORMAT": "json",
    }
    with serving(tmp_path / "data", settings=settings) as server:
        with telling(server.url, additional_headers={"X-Request-ID": "the-one"}) as told:
            answer = told.connection.response
            assert answer is not None
            assert answer.headers["RateLimit"].startswith('"client";r=3;')
            assert answer.headers["X-Request-ID"] == "the-one"
            full = httpx.get(f"{server.url}/events/ws", headers=UPGRADE)
            assert (full.status_code, full.headers["Retry-After"]) == (503, "1")
            found = [httpx.get(f"{server.url}/events/ws", headers=UPGRADE | {"Upgrade": "x"}) for _ in range(3)]
            assert [answer.status_code for answer in found] == [426, 426, 429]
        wait_until(lambda: '"the-one"' in server.logs(), what="its line in the log")
        line = next(line for line in server.logs().splitlines() if '"the-one"' in line)
    assert '"events_ws"' in line
    assert '"status":101' in line


def test_it_is_closed_at_the_drain_and_says_how_to_go_on(tmp_path):
    with serving(tmp_path / "data") as server:
        with telling(server.url) as told:
            put(server, "urn:drained")
            event = told.event()
            server.terminate()
            last, code = told.end()
            assert (last["reason"], last["cursor"], code) == ("leaving", event["cursor"], 1012)
        assert server.wait() == 0
