"""The clients that record: what they make of each answer, of none, and that a healthy server passes."""

import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from tests.support import clients as driver
from tests.support.clients import CALLS_PER_KEY, Kind, document
from tests.support.history import read_all, recording
from tests.support.linearizable import ABSENT, MAX_CALLS, Delete, Get, Put, Swap
from tests.support.server import serving


def answer(status: int | None, body: bytes = b"", *, retry_after: str | None = None) -> driver._Answer:
    return driver._Answer(0.0, 1.0, status, '"1"', retry_after, body)


def meaning(kind: Kind, status: int | None, body: bytes = b"", *, retry_after: str | None = "1"):
    return driver._meaning(kind, answer(status, body, retry_after=retry_after), "new", "old")


@pytest.mark.parametrize(
    ("kind", "status", "action"),
    [
        (Kind.GET, 404, Get(ABSENT)),
        (Kind.RECENT, 404, Get(ABSENT)),
        (Kind.PUT, 201, Put("new", existed=False)),
        (Kind.PUT, 204, Put("new", existed=True)),
        (Kind.DELETE, 204, Delete(existed=True)),
        (Kind.DELETE, 404, Delete(existed=False)),
        (Kind.SWAP, 204, Swap("old", "new", done=True)),
        (Kind.SWAP, 412, Swap("old", "new", done=False)),
        (Kind.POST, 201, None),
        *[(kind, status, None) for kind in (Kind.GET, Kind.POST) for status in (503, None)],
        *[(Kind.PUT, status, Put("new", existed=None)) for status in (500, 502, 503, 504, 507, None)],
        *[(Kind.DELETE, status, Delete(existed=None)) for status in (503, None)],
        *[(Kind.SWAP, status, Swap("old", "new", done=None)) for status in (503, None)],
    ],
)
def test_an_answer_says_what_happened_and_a_failure_that_it_may_have(kind, status, action):
    assert meaning(kind, status)[0] == action


def test_a_read_shows_the_value():
    assert meaning(Kind.GET, 200, document("urn:x", "v1")) == (Get("v1"), "")


def test_half_a_write_is_wrong():
    torn = json.loads(document("urn:x", "v1"))
    torn["submodelElements"][0]["value"] = "v2"

    assert "half a write" in meaning(Kind.GET, 200, json.dumps(torn).encode())[1]


@pytest.mark.parametrize(
    ("kind", "status", "retry_after"), [(Kind.PUT, 500, "1"), (Kind.GET, 503, None), (Kind.POST, 409, None)]
)
def test_what_may_not_be_answered_is_wrong(kind, status, retry_after):
    assert meaning(kind, status, retry_after=retry_after)[1]


@pytest.mark.parametrize("status", [503, 507])
def test_an_excuse_that_says_when_to_come_back_is_not_wrong(status):
    assert meaning(Kind.PUT, status)[1] == ""


@contextmanager
def listening(reply: bytes):
    """A peer that takes every request and says this, however often it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)
                    if not reply:
                        time.sleep(0.3)  # longer than a client waits

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nhalf"], ids=["silence", "half an answer"]
)
def test_without_an_answer_a_write_has_no_end(monkeypatch, reply):
    monkeypatch.setattr(driver, "ANSWER_WITHIN_S", 0.2)
    with listening(reply) as url, recording([url], seed=1, clients=1, keys=1) as history:
        history.wait_for(3, where=lambda request: request.action is not None)

    calls = [call for calls in history.calls().values() for call in calls]
    assert not any(call.is_answered for call in calls)
    assert all(request.status is None for request in history.requests)
    assert history.acknowledged() == 0


def test_what_a_healthy_server_answers_has_an_order(tmp_path):
    """One server reached by two names; the documents are few, so some are used up and give way to others."""
    with serving(tmp_path / "data") as server:
        urls = [server.url, server.url.replace("127.0.0.1", "localhost")]
        with recording(urls, seed=1, keys=2) as history:
            history.wait_for(3 * CALLS_PER_KEY)
        before = len(history.requests)
        read_all(history)

    assert history.findings() == []
    assert {request.kind for request in history.requests} == set(Kind)
    assert {request.instance for request in history.requests} == set(urls)
    assert len(history.calls()) > 2
    assert max(map(len, history.calls().values())) <= MAX_CALLS
    assert len(history.requests) == before + 2 * len(history.calls())
    assert len(history.created()) > 10
    assert history.acknowledged() > 100
