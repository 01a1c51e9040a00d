"""Concurrent clients of several instances, and a record of everything they sent, for the checkers.

    with recording([a.url, b.url], seed=1) as history:
        ...  # break things
    read_all(history)
    assert history.findings() == []

Every client is a thread that takes turns between the instances and sends GET, PUT, DELETE and conditional PUT on a
few documents that all share, and POST of documents of its own. Written values are unique, and one monotonic clock
stamps all. Nothing is tried again.

Reads with `Cache-Control: no-cache` must have an order with the writes (`linearizable`). Ordinary ones may be a second
old (`staleness`). Of three clients one sends its session token back as a field and one as a cookie, with everything
it sends, and must never see what is older than it has seen; the third sends none.

A write that was answered by a 5xx, or not at all, has an unknown outcome; a 404, 409 or 412 is an answer. After some
150 calls a document gives way to a new one, for the sake of the checker.
"""

import contextlib
import itertools
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.support import staleness
from tests.support.clients import ANSWER_WITHIN_S, MIX, Client, Documents, Kind, Request
from tests.support.linearizable import Call, Judgement, Verdict, check

ENOUGH_PER_S = 100.0
SHOWN = 3


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
            if request.action is not None and request.kind is not Kind.RECENT:
                ended_s = request.ended_s if request.is_served else math.inf
                by_key[request.key].append(Call(request.action, request.begun_s, ended_s))
        return by_key

    def findings(self) -> list[str]:
        """Return what speaks against the server, in words: answers that may not be, histories without an order."""
        wrong = [f"{request.kind} answered {request.wrong}" for request in self.requests if request.wrong]
        judged = {key: check(calls) for key, calls in self.calls().items()}
        bad = [_in_words(key, judgement) for key, judgement in judged.items() if not _is_good(judgement)]
        return [*wrong, *_few(bad, "documents"), *self.stale(), *self.gone_back()]

    def stale(self) -> list[str]:
        """Return the ordinary reads that were older than is promised."""
        return _few(staleness.too_old(self._operations()), "reads that are too old")

    def gone_back(self) -> list[str]:
        """Return the reads of sessions that were older than what the session had seen."""
        return _few(staleness.gone_back(self._operations()), "reads that went back")

    def _operations(self) -> list[staleness.Operation]:
        return [
            staleness.Operation(
                request.client,
                request.key,
                request.action,
                request.begun_s,
                request.ended_s if request.is_served else math.inf,
                is_recent=request.kind is Kind.RECENT,
                is_session=request.has_session,
            )
            for request in self.requests
            if request.action is not None
        ]

    def wait_for(
        self, count: int, *, within_s: float = 20.0, where: Callable[[Request], bool] = lambda _: True
    ) -> None:
        """Return once so many further requests, of those that `where` chooses, have ended."""
        before, deadline = len(self.requests), time.monotonic() + within_s
        while sum(map(where, itertools.islice(self.requests, before, None))) < count:
            assert time.monotonic() < deadline, f"not {count} such requests within {within_s} s"
            time.sleep(0.01)


def _few(findings: Sequence[str], of_what: str) -> list[str]:
    more = len(findings) - SHOWN
    return [*findings[:SHOWN], *([f"and {more} more {of_what}"] if more > 0 else [])]


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
    mix: Mapping[Kind, int] = MIX,
    fill: bool = False,
    distort: Callable[[Request], Request] = lambda request: request,
) -> Iterator[History]:
    """Have clients send for the time of the block; at its end every request sent has its outcome.

    With `fill` every document is made before anything else is done. `distort` sees each request before it is recorded:
    with it a test proves that a checker would notice.
    """
    history, stop = History(urls), threading.Event()
    shared = Documents(keys)

    def keep(request: Request) -> None:
        history.requests.append(distort(request))

    made = [Client(number, shared, urls, random.Random(f"{seed}/{number}"), keep, mix) for number in range(clients)]
    with ThreadPoolExecutor(clients, "client") as pool:
        shares = [shared.share(number, clients) if fill else () for number in range(clients)]
        running = [pool.submit(client.run, stop, pause_s, share) for client, share in zip(made, shares, strict=True)]
        try:
            yield history
        finally:
            stop.set()
        for client in running:
            client.result(timeout=ANSWER_WITHIN_S * 3)


def read_all(history: History, kind: Kind = Kind.GET) -> None:
    """Read every document once more at every instance, so that what was lost shows, or what was left in a cache."""
    keys = list(dict.fromkeys(request.key for request in history.requests if request.kind is not Kind.POST))
    client = Client(-1, Documents(0), history.urls, random.Random(0), history.requests.append)
    for url in history.urls:
        for key in keys:
            client.send(kind, url, key)
    client.close()
