"""Clients that never give up: whatever ends their stream, they go on from their cursor, at any instance."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

BACK_AFTER_S = 0.2
SILENCE_S = 20.0
"""Longer than a heartbeat: a stream that says nothing for so long is dead."""


class Tireless:
    """Follows `/events` in a thread of its own until `stop`."""

    def __init__(self, urls: Callable[[], Sequence[str]], cursor: str, *, query: str = "", first: int = 0) -> None:
        self.heard: list[tuple[str, str, int]] = []
        """Id, subject and revision of each event, in order of arrival."""
        self.refused: list[str] = []
        """Answers that mean that events were lost."""
        self.farewells: list[str] = []
        """Why streams were ended that the server ended in order."""
        self.streams = 0
        self._urls = urls
        self._cursor = cursor
        self._query = query
        self._next = first
        self._sock: socket.socket | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hang up, and do not come back."""
        self._stopped.set()
        self._hang_up()
        self._thread.join(SILENCE_S + 5)

    def _hang_up(self) -> None:
        sock = self._sock
        if sock is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                sock.shutdown(socket.SHUT_RDWR)

    def out_of_order(self) -> list[str]:
        """Return the subjects of which an event came, for the first time, after a newer one."""
        newest: dict[str, int] = {}
        found = []
        for _, subject, revision in dict.fromkeys(self.heard):
            if revision < newest.get(subject, 0):
                found.append(subject)
            newest[subject] = max(revision, newest.get(subject, 0))
        return found

    def _follow(self) -> None:
        while not self._stopped.is_set():
            urls = self._urls()
            self._next += 1
            try:
                self._once(urls[self._next % len(urls)])
            except (OSError, http.client.HTTPException, WebSocketException):
                self._stopped.wait(BACK_AFTER_S)

    def _once(self, url: str) -> None:
        at = urlsplit(url)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=SILENCE_S)
        try:
            connection.request("GET", f"/events?cursor={self._cursor}{self._query}", headers={"Accept": "*/*"})
            answer = connection.getresponse()
            self._sock = connection.sock
            if answer.status == 200:
                self.streams += 1
                self._read(answer)
            else:
                self._note_refusal(answer.status, answer.read())
        finally:
            connection.close()

    def _note_refusal(self, status: int, said: bytes) -> None:
        if status != 503:
            self.refused.append(f"{status}: {said[:300]!r}")
        self._stopped.wait(BACK_AFTER_S)

    def _hear(self, event: dict[str, Any]) -> None:
        self.heard.append((event["id"], event["subject"], int(event["revision"])))

    def _read(self, answer: http.client.HTTPResponse) -> None:
        is_end = False
        cursor = self._cursor
        while not self._stopped.is_set():
            line = answer.readline()
            if not line:
                return
            name, _, value = line.rstrip(b"\n").partition(b": ")
            if name == b"id":
                cursor = value.decode()
            elif not name:
                self._cursor = cursor  # the block is whole: what it told was taken in
            elif name == b"event":
                is_end = True
            elif name == b"data" and is_end:
                self.farewells.append(json.loads(value)["reason"])
            elif name == b"data":
                self._hear(json.loads(value))


class TirelessSocket(Tireless):
    """Follows `/events/ws`."""

    _connection: ClientConnection | None = None

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _once(self, url: str) -> None:
        address = f"{url.replace('http', 'ws', 1)}/events/ws?cursor={self._cursor}{self._query}"
        try:
            with connect(address, proxy=None, open_timeout=5, close_timeout=1) as self._connection:
                self.streams += 1
                self._take(self._connection)
        except InvalidStatus as refused:
            self._note_refusal(refused.response.status_code, bytes(refused.response.body or b""))

    def _take(self, connection: ClientConnection) -> None:
        while not self._stopped.is_set():
            message = json.loads(connection.recv(timeout=SILENCE_S))
            if "specversion" in message:
                self._hear(message)
            elif "reason" in message:
                self.farewells.append(message["reason"])
            self._cursor = message["cursor"]
