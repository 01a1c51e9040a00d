"""Someone who asks an instance all the time whether it is ready, as a balancer or a kubelet does."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

EVERY_S = 0.03
TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer of `/health/ready`; `status` is None where none came."""

    asked_s: float
    answered_s: float
    status: int | None
    body: dict[str, Any]

    @property
    def database(self) -> dict[str, Any]:
        """What it says of the database; empty where it says nothing."""
        found: dict[str, Any] = self.body.get("checks", {}).get("database", {})
        return found


class Watcher:
    """Keeps every answer, in order."""

    def __init__(self, port: int) -> None:
        self.seen: list[Seen] = []
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch {port}")

    def first(self, status: int, after_s: float) -> Seen | None:
        """Return the first answer with this status to a question put after a moment."""
        return next((seen for seen in self.seen if seen.asked_s >= after_s and seen.status == status), None)

    def wait_for(self, status: int, after_s: float, *, within_s: float = 20.0) -> Seen:
        """Return the first such answer, waiting for it."""
        deadline = time.monotonic() + within_s
        while (seen := self.first(status, after_s)) is None:
            assert time.monotonic() < deadline, f"readiness was not {status} within {within_s} s: {self.seen[-1:]}"
            time.sleep(0.01)
        return seen

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        while not self._stop.wait(EVERY_S):
            asked_s, status, body = time.monotonic(), None, b"{}"
            try:
                connection.request("GET", "/health/ready")
                answer = connection.getresponse()
                status, body = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
            self.seen.append(Seen(asked_s, time.monotonic(), status, json.loads(body)))
        connection.close()


class Metronome:
    """Measures how long this machine lets somebody wait who only wants to run: what else it has to do delays all."""

    tick_s = 0.01

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="metronome")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        before_s = time.monotonic()
        while not self._stop.wait(self.tick_s):
            now_s = time.monotonic()
            self.worst_s = max(self.worst_s, now_s - before_s - self.tick_s)
            before_s = now_s


@contextlib.contextmanager
def watching(ports: Sequence[int]) -> Iterator[list[Watcher]]:
    """Watch the instances on these loopback ports for the time of the block."""
    watchers = [Watcher(port) for port in ports]
    for watcher in watchers:
        watcher.start()
    try:
        yield watchers
    finally:
        for watcher in watchers:
            watcher.stop()
