"""Many clients of `/events` or `/events/ws` in one thread: each its own connection, read as fast as the server sends.

Those of `/events` speak HTTP/1.0, so that a stream comes without chunks and costs a client next to nothing to read:
what is measured is the server.
"""

import re
import selectors
import socket
import threading
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.bench.figures import Unmeasurable
from tests.support.websocket import request

_SUBJECT = re.compile(rb'"subject":"([^"]*)"')
_EVENT = re.compile(rb'\ndata: \{[^\n]*?"subject":"([^"]*)"[^\n]*\n\n')
_STARTS_WITHIN_S = 60.0
_READ_BYTES = 1 << 18


class Listeners:
    """What came: for each event its subject and when, on the monotonic clock."""

    def __init__(self, url: str, count: int, target: str) -> None:
        self.arrivals: list[tuple[bytes, float]] = []
        self._selector = selectors.DefaultSelector()
        self._open = 0
        self._stop = False
        at = urlsplit(url)
        for _ in range(count):
            sock = socket.create_connection((at.hostname, at.port), timeout=5)
            sock.sendall(self._request(target))
            self._selector.register(sock, selectors.EVENT_READ, [b""])
        self._waiting = count
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _request(self, target: str) -> bytes:
        return f"GET {target} HTTP/1.0\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n".encode()

    def start(self) -> None:
        """Read from now on; return once every stream has begun."""
        self._thread.start()
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while self._waiting:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise Unmeasurable(f"{self._waiting} streams have not begun")
            time.sleep(0.01)

    def wait_for(self, count: int, *, within_s: float, among: Container[bytes] | None = None) -> None:
        """Wait for so many events in all, of those subjects only where some are given."""
        deadline = time.monotonic() + within_s
        looked_at = counted = 0
        while counted < count:
            if time.monotonic() > deadline:
                raise Unmeasurable(f"{counted:,} of {count:,} events came")
            time.sleep(0.01)
            new = self.arrivals[looked_at:]
            looked_at += len(new)
            counted += len(new) if among is None else sum(subject in among for subject, _ in new)

    def _read(self) -> None:
        while not self._stop:
            for key, _ in self._selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(_READ_BYTES)
                now = time.monotonic()
                if not data:
                    self._selector.unregister(key.fileobj)
                    continue
                self._take(key.data, data, now)

    def _take(self, rest: list[bytes], data: bytes, now: float) -> None:
        text = rest[0] + data
        if rest[0] == b"" and b"\nid: " in text:
            self._waiting -= 1
        end = text.rfind(b"\n\n")
        if end < 0:
            rest[0] = text
            return
        self.arrivals += [(subject, now) for subject in _EVENT.findall(text, 0, end + 2)]
        rest[0] = text[end + 1 :]  # the line break before the next block stays: it is never empty again

    def close(self) -> None:
        """Hang up."""
        self._stop = True
        if self._thread.is_alive():
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


class SocketListeners(Listeners):
    """The same by WebSocket."""

    def _request(self, target: str) -> bytes:
        return request(target)

    def _take(self, rest: list[bytes], data: bytes, now: float) -> None:
        text, place = rest[0] + data, 0
        if text.startswith(b"HTTP/1.1 101 "):
            head = text.find(b"\r\n\r\n") + 4
            if head < 4 or len(text) < head + 2:
                rest[0] = text
                return
            self._waiting -= 1
            place = head
        while (length := frame_length(text, place)) and place + length <= len(text):
            found = _SUBJECT.search(text, place, place + length)
            if found:
                self.arrivals.append((found[1], now))
            place += length
        rest[0] = text[place:]


def frame_length(text: bytes, place: int) -> int:
    """Return how long the frame is that begins there, 0 where that cannot be seen yet; servers do not mask."""
    if len(text) < place + 10:
        return 2 + text[place + 1] if len(text) > place + 1 and text[place + 1] < 126 else 0
    short = text[place + 1]
    if short < 126:
        return 2 + short
    size = 2 if short == 126 else 8
    return 2 + size + int.from_bytes(text[place + 2 : place + 2 + size])


@contextmanager
def listening(url: str, count: int, target: str = "/events") -> Iterator[Listeners]:
    """Let so many clients follow the events of an instance for the time of the block, by what the target is for."""
    listeners = (SocketListeners if "/ws" in target else Listeners)(url, count, target)
    try:
        listeners.start()
        yield listeners
    finally:
        listeners.close()
