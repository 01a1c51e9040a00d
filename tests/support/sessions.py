"""Sessions over HTTP at several instances: each reads its own writes anywhere and never goes back; timed, counted."""

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.documents import shell
from titan.model.identifiers import encode_identifier

TOKEN = "X-Titan-Session"


@dataclass(slots=True)
class Traffic:
    """What the sessions met, while they run and after."""

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, requests: int, *, within_s: float = 20.0) -> None:
        """Return once so many more requests were answered."""
        wanted, ends = self.requests + requests, time.monotonic() + within_s
        while self.requests < wanted:
            assert time.monotonic() < ends, f"{self.requests} of {wanted} requests, failed: {self.failed[:3]}"
            time.sleep(0.005)


@contextlib.contextmanager
def sessions(urls: Sequence[str], count: int = 4, *, seed: int = 0) -> Iterator[Traffic]:
    """Run sessions for the time of the block; whatever is wrong stands in the traffic's lists."""
    traffic, lock = Traffic(), threading.Lock()
    threads = [
        threading.Thread(target=_Session(traffic, lock, urls, number, random.Random(seed + number)).run)
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        traffic._stop.set()
        for thread in threads:
            thread.join()


class _Session:
    """A client that writes its own document and reads it back at whichever instance comes next."""

    def __init__(
        self, traffic: Traffic, lock: threading.Lock, urls: Sequence[str], number: int, rng: random.Random
    ) -> None:
        self._traffic = traffic
        self._lock = lock
        self._urls = urls
        self._rng = rng
        self._id = f"urn:session:{number}"
        self._path = f"/shells/{encode_identifier(self._id)}"
        self._token: str | None = None

    def run(self) -> None:
        with httpx.Client(timeout=10) as client:
            for round_ in itertools.count():
                if self._traffic._stop.is_set():
                    return
                self._round(client, round_)

    def _round(self, client: httpx.Client, round_: int) -> None:
        body = shell(self._id, category=str(round_))
        if self._request(client, "PUT", self._path, body) is None:
            return
        for _ in range(3):
            found = self._request(client, "GET", self._path)
            if found is not None and found["category"] != str(round_):
                self._traffic.violations.append(f"{self._id} wrote {round_}, got {found['category']}")
            listed = self._request(client, "GET", "/shells?limit=1000")
            if listed is not None:
                mine = [item.get("category") for item in listed["result"] if item["id"] == self._id]
                if mine != [str(round_)]:
                    self._traffic.violations.append(f"{self._id} wrote {round_}, listed {mine}")

    def _request(self, client: httpx.Client, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        headers = {} if self._token is None else {TOKEN: self._token}
        begun = time.monotonic()
        answer = client.request(method, f"{self._rng.choice(self._urls)}{path}", json=body, headers=headers)
        took_s = time.monotonic() - begun
        with self._lock:
            self._traffic.requests += 1
            self._traffic.slowest_s = max(self._traffic.slowest_s, took_s)
            if answer.status_code >= 300:
                self._traffic.failed.append(f"{method} {path}: {answer.status_code} {answer.text}")
                return None
        self._token = answer.headers[TOKEN]
        content: dict[str, Any] = json.loads(answer.content) if answer.content else {}
        return content
