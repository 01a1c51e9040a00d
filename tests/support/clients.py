"""One client of several instances: what it sends, how it keeps its session, and what each answer means.

A client does one thing at a time. Which documents there are is shared by all of them.
"""

import http.client
import itertools
import json
import random
import re
import threading
import time
import urllib.parse
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from enum import Enum, StrEnum

from tests.support.linearizable import ABSENT, Action, Delete, Get, Put, Swap
from titan.api.session import COOKIE, HEADER

ANSWER_WITHIN_S = 4.0  # twice what is promised, so that a promise broken is seen as such
CALLS_PER_KEY = 150  # leaves room for the calls under way and for the final reads


class Kind(StrEnum):
    """What a client sends."""

    GET = "GET"
    RECENT = "GET what is recent"
    PUT = "PUT"
    DELETE = "DELETE"
    SWAP = "PUT If-Match"
    POST = "POST"


MIX = {Kind.GET: 6, Kind.RECENT: 8, Kind.PUT: 4, Kind.SWAP: 4, Kind.DELETE: 2, Kind.POST: 3}

_READS = {Kind.GET, Kind.RECENT}


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
    client: int = -1
    has_session: bool = False

    @property
    def took_s(self) -> float:
        """From the first byte sent to the last byte read, or to the failure."""
        return self.ended_s - self.begun_s

    @property
    def is_acknowledged(self) -> bool:
        """A write that the server said it did."""
        return self.kind not in _READS and self.status in {200, 201, 204}

    @property
    def is_served(self) -> bool:
        """It was answered by what there is, not by an excuse."""
        return self.status is not None and self.status < 500


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


class Documents:
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

    def share(self, number: int, clients: int) -> Sequence["_Document"]:
        """Return every so many of those that there are at the beginning."""
        return self._open[number::clients]

    def own(self, client: int) -> str:
        """Return a key for a document that nobody else writes."""
        return f"urn:chaos:{self._run}:own:{client}:{next(self._numbers)}"

    def _new(self) -> _Document:
        return _Document(f"urn:chaos:{self._run}:{next(self._numbers)}")


def document(key: str, value: str) -> bytes:
    """Make a Submodel that carries its value in both of its parts, the header and an element."""
    element = {"modelType": "Property", "idShort": "value", "valueType": "xs:string", "value": value}
    return json.dumps({"modelType": "Submodel", "id": key, "idShort": value, "submodelElements": [element]}).encode()


class Keeps(Enum):
    """How a client keeps its session's token."""

    FIELD = "field"
    COOKIE = "cookie"
    NOTHING = "nothing"


@dataclass(slots=True)
class _Keeper:
    keeps: Keeps
    token: str = ""

    def fields(self) -> dict[str, str]:
        match self.keeps:
            case Keeps.FIELD if self.token:
                return {HEADER: self.token}
            case Keeps.COOKIE if self.token:
                return {"Cookie": f"{COOKIE}={self.token}"}
        return {}

    def learn(self, told: Message) -> None:
        """Take what an answer told, in the way in which it was asked."""
        match self.keeps:
            case Keeps.FIELD:
                self.token = told[HEADER] or self.token
            case Keeps.COOKIE:
                given = re.match(rf"{COOKIE}=([^;]+)", told["Set-Cookie"] or "")
                self.token = self.token if given is None else given[1]


class Client:
    def __init__(
        self,
        number: int,
        documents: Documents,
        urls: Sequence[str],
        rng: random.Random,
        record: Callable[[Request], None],
        mix: Mapping[Kind, int] = MIX,
    ) -> None:
        self._number = number
        self._documents = documents
        self._rng = rng
        self._record = record
        self._mix = mix
        self._values = itertools.count(1)
        self._connections = {url: _connection(url) for url in urls}
        self._keeper = _Keeper(list(Keeps)[number % len(Keeps)])

    def run(self, stop: threading.Event, pause_s: float, fills: Sequence[_Document] = ()) -> None:
        for target in fills:
            self.send(Kind.PUT, self._rng.choice(list(self._connections)), target.key, target)
        while not stop.is_set():
            kind = self._rng.choices(list(self._mix), list(self._mix.values()))[0]
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
        session = self._keeper.fields()
        answer = _exchange(self._connections[url], kind, key, value, known[1] if known else "", session)
        self._keeper.learn(answer.fields)
        action, wrong = _meaning(kind, answer, value, known[0] if known else "")
        match action:
            case Get(found=str(shown)) | Put(value=shown) | Swap(value=shown) if target and kind is not Kind.RECENT:
                target.learn(shown, answer)
        request = Request(
            kind,
            key,
            url,
            answer.begun_s,
            answer.ended_s,
            answer.status,
            action,
            wrong,
            self._number,
            self._keeper.keeps is not Keeps.NOTHING,
        )
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
    fields: Message = field(default_factory=Message)


def _connection(url: str) -> http.client.HTTPConnection:
    address = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_WITHIN_S)


def _exchange(
    connection: http.client.HTTPConnection, kind: Kind, key: str, value: str, tag: str, session: Mapping[str, str]
) -> _Answer:
    path = "/submodels" if kind is Kind.POST else "/submodels/" + urlsafe_b64encode(key.encode()).decode().rstrip("=")
    body = None if kind in _READS or kind is Kind.DELETE else document(key, value)
    headers = {**session}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if kind is Kind.GET:
        headers["Cache-Control"] = "no-cache"
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
    ended_s = time.monotonic()
    return _Answer(begun_s, ended_s, answer.status, fields["ETag"] or "", fields["Retry-After"], content, fields)


def _meaning(kind: Kind, answer: _Answer, value: str, expected: str) -> tuple[Action | None, str]:
    """Return what an answer tells of the document, and what is wrong with it in itself."""
    status = answer.status if answer.status is not None and answer.status < 500 else None
    wrong = ""
    if answer.status is not None and answer.status >= 500:
        wrong = _wrong_excuse(answer)
    match kind, status:
        case ((Kind.GET | Kind.RECENT), 200):
            shown, wrong = _shown(answer.body)
            return Get(shown), wrong
        case ((Kind.GET | Kind.RECENT), 404):
            return Get(ABSENT), ""
        case ((Kind.GET | Kind.RECENT | Kind.POST), None):
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
