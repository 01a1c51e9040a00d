"""Clients that send without pause and record what became of every single request.

    with traffic(url, clients=16) as sent:
        ...  # restart things
    assert sent.lost() == []

Each client is a thread with one keep-alive connection. It posts a new Submodel, then gets it (and replaces and deletes
it, if told to), and so on. Nothing is tried again and a connection that the other side closed without announcing it
counts: that request had no answer.
"""

import contextlib
import http.client
import threading
import time
import urllib.parse
import uuid
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.bench.twins import PLACEHOLDER, submodel

ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request. `status` is None where no answer came; `error` then says what came instead."""

    method: str
    document_id: str
    sent_s: float
    took_s: float
    status: int | None
    error: str = ""

    @property
    def is_lost(self) -> bool:
        """No answer, or one that blames the server."""
        return self.status is None or self.status >= 500


@dataclass(slots=True)
class Sent:
    """What was sent so far; complete once the block has ended."""

    outcomes: list[Outcome] = field(default_factory=list)

    def lost(self) -> list[Outcome]:
        """Return every request without an answer or with a 5xx."""
        return [outcome for outcome in self.outcomes if outcome.is_lost]

    def statuses(self) -> Counter[tuple[str, int | None]]:
        """Count by method and status."""
        return Counter((outcome.method, outcome.status) for outcome in self.outcomes)

    def wait_for(self, more: int, timeout_s: float = 20.0) -> None:
        """Return once `more` further requests were answered, so that what happens next happens under load."""
        wanted = len(self.outcomes) + more
        deadline = time.monotonic() + timeout_s
        while len(self.outcomes) < wanted:
            assert time.monotonic() < deadline, f"only {len(self.outcomes)} of {wanted} requests within {timeout_s} s"
            time.sleep(0.01)


@contextlib.contextmanager
def traffic(
    url: str, *, clients: int, methods: Sequence[str] = ("POST", "GET"), size: int = 4096, pause_s: float = 0.0
) -> Iterator[Sent]:
    """Send from `clients` connections for the time of the block; at its end every request sent has its outcome.

    Each document meets `methods` in their order, then the client rests for `pause_s`.
    """
    sent, stop = Sent(), threading.Event()
    document = submodel(PLACEHOLDER, size).decode()
    with ThreadPoolExecutor(clients, "client") as pool:
        running = [pool.submit(_client, url, document, methods, sent.outcomes, stop, pause_s) for _ in range(clients)]
        try:
            yield sent
        finally:
            stop.set()
        for client in running:
            client.result(timeout=ANSWER_WITHIN_S * 3)


def _client(
    url: str,
    document: str,
    methods: Sequence[str],
    outcomes: list[Outcome],
    stop: threading.Event,
    pause_s: float,
) -> None:
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_WITHIN_S)
    run, number = uuid.uuid4(), 0
    while not stop.is_set():
        number += 1
        document_id = f"urn:traffic:{run}:{number}"
        body = document.replace(PLACEHOLDER, document_id).encode()
        path = "/submodels/" + urlsafe_b64encode(document_id.encode()).decode().rstrip("=")
        for method in methods:
            target = "/submodels" if method == "POST" else path
            content = body if method in {"POST", "PUT"} else None
            outcomes.append(_exchange(connection, method, target, document_id, content))
        stop.wait(pause_s)
    connection.close()


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, document_id: str, body: bytes | None = None
) -> Outcome:
    status, error, sent_s = None, "", time.monotonic()
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except (OSError, http.client.HTTPException) as exception:
        error = f"{type(exception).__name__}: {exception}"
        connection.close()
    return Outcome(method, document_id, sent_s, time.monotonic() - sent_s, status, error)
