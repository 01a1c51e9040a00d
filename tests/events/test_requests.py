"""What may be asked of `/events`, and how every other thing is refused."""

import time

import httpx
import pytest

from tests.support.documents import shell
from tests.support.events import asking, following, pages
from tests.support.server import serving
from tests.support.waiting import wait_until
from titan.model.identifiers import encode_identifier


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("asked") / "data") as server:
        with httpx.Client() as client:
            for number in range(25):
                assert client.post(f"{server.url}/shells", json=shell(f"urn:asked:{number}")).status_code == 201
        yield server.url


def texts(answer: httpx.Response) -> str:
    return " ".join(message["text"] for message in answer.json()["messages"])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("cursr=x", "unknown query parameter 'cursr'"),
        ("cursor=", "'cursor'"),
        ("cursor=a&cursor=b", "'cursor' is given more than once"),
        (f"cursor={'x' * 201}", "'cursor'"),
        ("type=shell.created", "'type' must be one of io.titan-aas.shell.created"),
        ("id=urn:plain", "base64url"),
        ("id=", "'id'"),
        ("idShortPath=a..b", "'idShortPath'"),
        ("idShortPath=" + "a." * 3000 + "a", "'idShortPath'"),
        ("wait=61", "'wait'"),
        ("wait=-1", "'wait'"),
        ("wait=0&limit=0", "'limit'"),
        ("wait=0&limit=1001", "'limit'"),
        ("limit=5", "'limit' is for pages"),
        ("&".join(f"id={encode_identifier(str(number))}" for number in range(101)), "more than 100 times"),
    ],
)
def test_what_is_wrong_is_named(url, query, said):
    answer = httpx.get(f"{url}/events?{query}")
    assert answer.status_code == 400
    assert said in texts(answer)


def test_a_last_event_id_is_judged_like_a_cursor(url):
    assert httpx.get(f"{url}/events", headers={"Last-Event-ID": "x" * 201}).status_code == 400
    gone = httpx.get(f"{url}/events?cursor=oldest", headers={"Last-Event-ID": "of-another-database"})
    assert gone.status_code == 410
    assert "Read the documents anew" in texts(gone)


@pytest.mark.parametrize(("query", "accept"), [("", "application/json"), ("?wait=0", "text/event-stream")])
def test_another_media_type_than_was_asked_for_is_not_sent(url, query, accept):
    answer = httpx.get(f"{url}/events{query}", headers={"Accept": accept})
    assert answer.status_code == 406


@pytest.mark.parametrize("path", ["/events", "/api/v3/events", "/api/v3.1/events"])
def test_it_is_where_the_api_is_and_knows_get_alone(url, path):
    assert httpx.get(f"{url}{path}?wait=0").status_code == 200
    refused = httpx.post(f"{url}{path}")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert httpx.options(f"{url}{path}").status_code == 204


def test_a_head_of_a_stream_is_answered_and_leaves_no_client_behind(url):
    answer = httpx.head(f"{url}/events")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert clients(url) == 0


def clients(url: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("titan_events_clients "))


async def test_a_client_that_hangs_up_is_forgotten_at_once(url):
    async with following(url):
        assert clients(url) == 1
    wait_until(lambda: clients(url) == 0, what="a place that is free")


@pytest.mark.parametrize("limit", [1, 7, 25, 1000])
def test_pages_have_everything_once_and_in_order(url, limit):
    told = list(pages(url, "oldest", limit=limit))
    assert [event["subject"] for event in told[:25]] == [f"urn:asked:{number}" for number in range(25)]
    assert len({event["id"] for event in told}) == len(told)
    rest = list(pages(url, told[11]["cursor"], limit=limit))
    assert [event["id"] for event in rest] == [event["id"] for event in told[12:]]


def test_a_page_that_is_waited_for_comes_with_the_first_event(url):
    cursor = httpx.get(f"{url}/events?wait=0").json()["paging_metadata"]["cursor"]
    began = time.monotonic()
    empty = httpx.get(f"{url}/events?wait=1&cursor={cursor}").json()
    assert empty["result"] == []
    assert 0.9 < time.monotonic() - began < 10
    with httpx.Client() as client:
        client.post(f"{url}/shells", json=shell("urn:waited:for"))
    began = time.monotonic()
    page = httpx.get(f"{url}/events?wait=30&cursor={empty['paging_metadata']['cursor']}", timeout=35).json()
    assert [event["subject"] for event in page["result"]] == ["urn:waited:for"]
    assert time.monotonic() - began < 15  # of 30


def test_filters_choose(url):
    wanted = encode_identifier("urn:asked:3")
    query = {"wait": "0", "cursor": "oldest", "id": wanted, "type": "io.titan-aas.shell.created"}
    found = httpx.get(f"{url}/events", params=query).json()
    assert [event["subject"] for event in found["result"]] == ["urn:asked:3"]
    none = httpx.get(f"{url}/events", params=query | {"type": "io.titan-aas.shell.deleted"}).json()
    assert none["result"] == []
    assert none["paging_metadata"]["cursor"] != "oldest"


def test_a_stream_is_one_request_for_the_rate_limit_and_no_more_are_taken_than_allowed(tmp_path):
    settings = {"TITAN_SECURITY__REQUESTS_PER_MINUTE": "4", "TITAN_EVENTS__MAX_CLIENTS": "1"}
    with (
        serving(tmp_path / "data", settings=settings) as server,
        httpx.stream("GET", f"{server.url}/events") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["RateLimit"].startswith('"client";r=3;')
        full = httpx.get(f"{server.url}/events")
        assert (full.status_code, full.headers["Retry-After"]) == (503, "1")
        assert [httpx.get(f"{server.url}/shells").status_code for _ in range(3)] == [200, 200, 429]


async def test_a_request_without_accept_gets_a_stream(url):
    async with asking(url, "/events") as client:
        assert client.headers["content-type"] == "text/event-stream"
        first = await client.block()
        assert first.retry_ms is not None
        assert 500 <= first.retry_ms <= 1500
        assert first.id
