"""Concurrent clients of several instances, and a record of everything they sent, for the checkers.

    with recording([a.url, b.url], seed=1) as history:
        ...  # break things
    read_all(history)
    assert history.findings() == []

Every client is a thread that takes turns between the instances and sends GET, PUT, DELETE and conditional PUT on a
few documents that all share, and POST of documents of its own. Reads carry `Cache-Control: no-cache`, written values
are unique, and one monotonic clock stamps all. Nothing is tried again.

A write that was answered by a 5xx, or not at all, has an unknown outcome; a 404, 409 or 412 is an answer. After some
150 calls a document gives way to a new one, for the sake of the checker.
"""

import contextlib
import http.client
import itertools
import json
import math
import random
import threading
import time
import urllib.parse
import uuid
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from tests.support.linearizable import ABSENT, Action, Call, Delete, Get, Judgement, Put, Swap, Verdict, check

ANSWER_WITHIN_S = 4.0  # twice what is promised, so that a promise broken is seen as such
CALLS_PER_KEY = 150  # leaves room for the calls under way and for the final reads
ENOUGH_PER_S = 100.0
SHOWN = 3


class Kind(StrEnum):
    """What a client sends."""

    GET = "GET"
    PUT = "PUT"
    DELETE = "DELETE"
    SWAP = "PUT If-Match"
    POST = "POST"


_MIX = {Kind.GET: 8, Kind.PUT: 4, Kind.SWAP: 4, Kind.DELETE: 2, Kind.POST: 3}


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what became of it; `ended_s` is when the answer, or the failure, came."""

    kind: Kind
    key: str
    instance: str
    begun_s: float
    ended_s: float
    status: int | None
    action: Action | None = None
    """What it tells of the document; None for a POST and for a read without an answer."""
    wrong: str = ""
    """What no server may answer, whatever happens to it."""

    @property
    def took_s(self) -> float:
        """From the first byte sent to the last byte read, or to the failure."""
        return self.ended_s - self.begun_s

    @property
    def is_acknowledged(self) -> bool:
        """A write that the server said it did."""
        return self.kind is not Kind.GET and self.status in {200, 201, 204}

    @property
    def is_served(self) -> bool:
        """It was answered by what there is, not by an excuse."""
        return self.status is not None and self.status < 500


@dataclass(slots=True)
class History:
    """All requests so far, by the time of their end; complete once the clients have stopped."""

    urls: Sequence[str]
    requests: list[Request] = field(default_factory=list)

    def created(self) -> set[str]:
        """Return the documents whose POST was acknowledged; nobody but their creator ever names them."""
        return {request.key for request in self.requests if request.kind is Kind.POST and request.is_acknowledged}

    def acknowledged(self) -> int:
        """Count the writes that must not be lost."""
        return sum(request.is_acknowledged for request in self.requests)

    def between(self, from_s: float, to_s: float = math.inf) -> list[Request]:
        """Return the requests under way at any moment from one time to the other."""
        return [request for request in self.requests if request.ended_s >= from_s and request.begun_s <= to_s]

    def served_per_s(self, from_s: float, to_s: float) -> float:
        """Return how many requests a second were served in this time."""
        served = sum(request.is_served and from_s <= request.ended_s <= to_s for request in self.requests)
        return served / (to_s - from_s)

    def calls(self) -> dict[str, list[Call]]:
        """Return per document what the checker judges."""
        by_key: dict[str, list[Call]] = defaultdict(list)
        for request in self.requests:
            if request.action is not None:
                ended_s = request.ended_s if request.is_served else math.inf
                by_key[request.key].append(Call(request.action, request.begun_s, ended_s))
        return by_key

    def findings(self) -> list[str]:
        """Return what speaks against the server, in words: answers that may not be, histories without an order."""
        wrong = [f"{request.kind} answered {request.wrong}" for request in self.requests if request.wrong]
        judged = {key: check(calls) for key, calls in self.calls().items()}
        bad = [_in_words(key, judgement) for key, judgement in judged.items() if not _is_good(judgement)]
        return [*wrong, *bad[:SHOWN], *([f"and {len(bad) - SHOWN} more documents"] if len(bad) > SHOWN else [])]

    def wait_for(
        self, count: int, *, within_s: float = 20.0, where: Callable[[Request], bool] = lambda _: True
    ) -> None:
        """Return once so many further requests, of those that `where` chooses, have ended."""
        before, deadline = len(self.requests), time.monotonic() + within_s
        while sum(map(where, itertools.islice(self.requests, before, None))) < count:
            assert time.monotonic() < deadline, f"not {count} such requests within {within_s} s"
            time.sleep(0.01)


def _is_good(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.LINEARIZABLE


def _in_words(key: str, judgement: Judgement) -> str:
    tail = "".join(f"\n    {call}" for call in judgement.order[-6:])
    stuck = "".join(f"\n  ? {call}" for call in judgement.stuck_on[:6])
    return f"{key}: {judgement.verdict} after {len(judgement.order)} calls in order, the last of them:{tail}{stuck}"


@contextlib.contextmanager
def recording(
    urls: Sequence[str],
    *,
    seed: int,
    clients: int = 8,
    keys: int = 12,
    pause_s: float = 0.005,
    distort: Callable[[Request], Request] = lambda request: request,
) -> Iterator[History]:
    """Have clients send for the time of the block; at its end every request sent has its outcome.

    `distort` sees each request before it is recorded: with it a test proves that a checker would notice.
    """
    history, stop = History(urls), threading.Event()
    shared = _Documents(keys)
    made = [
        _Client(number, shared, urls, random.Random(f"{seed}/{number}"), lambda r: history.requests.append(distort(r)))
        for number in range(clients)
    ]
    with ThreadPoolExecutor(clients, "client") as pool:
        running = [pool.submit(client.run, stop, pause_s) for client in made]
        try:
            yield history
        finally:
            stop.set()
        for client in running:
            client.result(timeout=ANSWER_WITHIN_S * 3)


def read_all(history: History) -> None:
    """Read every document once more at every instance, so that what was lost shows."""
    keys = list(history.calls())
    client = _Client(-1, _Documents(0), history.urls, random.Random(0), history.requests.append)
    for url in history.urls:
        for key in keys:
            client.send(Kind.GET, url, key)
    client.close()


@dataclass(slots=True)
class _Document:
    key: str
    calls_left: int = CALLS_PER_KEY
    known: tuple[str, str] | None = None
    """The newest value that a client saw, with its tag."""

    def learn(self, value: str, answer: "_Answer") -> None:
        """Keep what an answer says of the tag of a value."""
        if answer.tag and answer.status in {200, 201, 204}:
            self.known = value, answer.tag


class _Documents:
    """What the clients share: which documents there are, and what is known of them."""

    def __init__(self, count: int) -> None:
        self._run = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._open = [self._new() for _ in range(count)]

    def take(self, rng: random.Random) -> _Document:
        with self._lock:
            slot = rng.randrange(len(self._open))
            if not self._open[slot].calls_left:
                self._open[slot] = self._new()
            self._open[slot].calls_left -= 1
            return self._open[slot]

    def own(self, client: int) -> str:
        """Return a key for a document that nobody else writes."""
        return f"urn:chaos:{self._run}:own:{client}:{next(self._numbers)}"

    def _new(self) -> _Document:
        return _Document(f"urn:chaos:{self._run}:{next(self._numbers)}")


def document(key: str, value: str) -> bytes:
    """Make a Submodel that carries its value in both of its parts, the header and an element."""
    element = {"modelType": "Property", "idShort": "value", "valueType": "xs:string", "value": value}
    return json.dumps({"modelType": "Submodel", "id": key, "idShort": value, "submodelElements": [element]}).encode()


class _Client:
    def __init__(
        self,
        number: int,
        documents: _Documents,
        urls: Sequence[str],
        rng: random.Random,
        record: Callable[[Request], None],
    ) -> None:
        self._number = number
        self._documents = documents
        self._rng = rng
        self._record = record
        self._values = itertools.count(1)
        self._connections = {url: _connection(url) for url in urls}

    def run(self, stop: threading.Event, pause_s: float) -> None:
        while not stop.is_set():
            kind = self._rng.choices(list(_MIX), list(_MIX.values()))[0]
            url = self._rng.choice(list(self._connections))
            if kind is Kind.POST:
                request = self.send(kind, url, self._documents.own(self._number))
            else:
                target = self._documents.take(self._rng)
                request = self.send(kind, url, target.key, target)
            # Clients that are refused wait a little, else unanswered writes would pile up beyond what can be judged.
            stop.wait(pause_s if request.is_served else self._rng.uniform(0.05, 0.25))
        self.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def send(self, kind: Kind, url: str, key: str, target: _Document | None = None) -> Request:
        value = f"v{self._number}x{next(self._values)}"
        known = target.known if target else None
        if kind is Kind.SWAP and known is None:
            kind = Kind.GET
        answer = _exchange(self._connections[url], kind, key, value, known[1] if known else "")
        action, wrong = _meaning(kind, answer, value, known[0] if known else "")
        match action:
            case Get(found=str(shown)) | Put(value=shown) | Swap(value=shown) if target is not None:
                target.learn(shown, answer)
        request = Request(kind, key, url, answer.begun_s, answer.ended_s, answer.status, action, wrong)
        self._record(request)
        return request


@dataclass(frozen=True, slots=True)
class _Answer:
    begun_s: float
    ended_s: float
    status: int | None
    tag: str = ""
    retry_after: str | None = None
    body: bytes = b""


def _connection(url: str) -> http.client.HTTPConnection:
    address = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_WITHIN_S)


def _exchange(connection: http.client.HTTPConnection, kind: Kind, key: str, value: str, tag: str) -> _Answer:
    path = "/submodels" if kind is Kind.POST else "/submodels/" + urlsafe_b64encode(key.encode()).decode().rstrip("=")
    body = None if kind in {Kind.GET, Kind.DELETE} else document(key, value)
    headers = {"Cache-Control": "no-cache"} if body is None else {"Content-Type": "application/json"}
    if kind is Kind.SWAP:
        headers["If-Match"] = tag
    begun_s = time.monotonic()
    try:
        connection.request(kind.split()[0], path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return _Answer(begun_s, time.monotonic(), None)
    fields = answer.headers
    return _Answer(begun_s, time.monotonic(), answer.status, fields["ETag"] or "", fields["Retry-After"], content)


def _meaning(kind: Kind, answer: _Answer, value: str, expected: str) -> tuple[Action | None, str]:
    """Return what an answer tells of the document, and what is wrong with it in itself."""
    status = answer.status if answer.status is not None and answer.status < 500 else None
    wrong = ""
    if answer.status is not None and answer.status >= 500:
        wrong = _wrong_excuse(answer)
    match kind, status:
        case Kind.GET, 200:
            shown, wrong = _shown(answer.body)
            return Get(shown), wrong
        case Kind.GET, 404:
            return Get(ABSENT), ""
        case ((Kind.GET | Kind.POST), None):
            return None, wrong
        case Kind.PUT, 201 | 204 | None:
            return Put(value, None if status is None else status == 204), wrong
        case Kind.DELETE, 204 | 404 | None:
            return Delete(None if status is None else status == 204), wrong
        case Kind.SWAP, 204 | 412 | None:
            return Swap(expected, value, None if status is None else status == 204), wrong
        case Kind.POST, 201:
            return None, ""
    return None, f"{status}: {answer.body[:200]!r}"


def _wrong_excuse(answer: _Answer) -> str:
    if answer.status not in {503, 507}:
        return f"{answer.status}: {answer.body[:200]!r}"
    return "" if answer.retry_after else f"{answer.status} without Retry-After"


def _shown(body: bytes) -> tuple[str, str]:
    content = json.loads(body)
    value = str(content["idShort"])
    inner = content["submodelElements"][0]["value"]
    return value, "" if inner == value else f"half a write: {value} in the header, {inner} in the element"
