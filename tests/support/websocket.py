"""Clients of `/events/ws`: a well-behaved one (the library websockets), and one that sends what a test wants sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, TextMessage

from tests.http.support import Client

PATIENCE_S = 20.0
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""What makes a request one for a WebSocket."""


class Told:
    """One open WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.cursor = ""
        """What a client would come back with."""

    def message(self, *, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Return the next message. Raises `ConnectionClosed`."""
        text = self.connection.recv(timeout=within_s)
        assert isinstance(text, str), "events are text"
        message: dict[str, Any] = json.loads(text)
        self.cursor = message["cursor"]
        return message

    def event(self, *, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Return the next CloudEvent."""
        while (message := self.message(within_s=within_s))["type"].startswith("io.titan-aas.stream."):
            assert message["type"] != "io.titan-aas.stream.end", message
        return message

    def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next CloudEvents."""
        return [self.event() for _ in range(count)]

    def end(self) -> tuple[dict[str, Any], int | None]:
        """Return the last message and the code with which it is closed; what comes before is passed over."""
        last: dict[str, Any] = {}
        try:
            while True:
                last = self.message()
        except ConnectionClosed as closed:
            return last, closed.rcvd.code if closed.rcvd else None


@contextmanager
def telling(url: str, query: str = "", *, path: str = "/events/ws", **options: Any) -> Iterator[Told]:
    """Follow the events of an instance; once the block begins nothing is missed."""
    address = url.rstrip("/").replace("http", "ws", 1) + path + query
    with connect(address, proxy=None, close_timeout=2, **options) as connection:
        told = Told(connection)
        assert told.message()["type"] == "io.titan-aas.stream.position"
        yield told


class Raw:
    """A client that does as it likes, on a connection that has become a WebSocket."""

    def __init__(self, client: Client, first: bytes) -> None:
        self.client = client
        self.protocol = Connection(ConnectionType.CLIENT, trailing_data=first)
        self._events: list[Event] = []

    async def send(self, *events: Event) -> None:
        await self.client.send(b"".join(self.protocol.send(event) for event in events))

    async def next(self, *, within_s: float = PATIENCE_S) -> Event:
        """Return what comes next. Raises `EOFError` at the end and `trio.BrokenResourceError` where it is cut."""
        with trio.fail_after(within_s):
            while True:
                self._events += self.protocol.events()
                if self._events:
                    return self._events.pop(0)
                data = await self.client.stream.receive_some()
                if not data:
                    raise EOFError
                self.protocol.receive_data(bytes(data))

    async def message(self) -> dict[str, Any]:
        """Return the next message; pings are passed over."""
        while not isinstance(event := await self.next(), TextMessage):
            pass
        message: dict[str, Any] = json.loads(event.data)
        return message

    async def closed(self) -> int:
        """Return the code of the server's close; what comes before is passed over."""
        while not isinstance(event := await self.next(), CloseConnection):
            pass
        return int(event.code)


async def upgrade(client: Client, target: str = "/events/ws", *, behind: bytes = b"") -> Raw:
    """Ask for a WebSocket, and send something right behind the request."""
    await client.send(request(target) + behind)
    said = b""
    with trio.fail_after(5):
        while b"\r\n\r\n" not in said:
            said += bytes(await client.stream.receive_some())
    head, _, first = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"), head
    return Raw(client, first)


def request(target: str = "/events/ws") -> bytes:
    """Return the head of a request for a WebSocket."""
    fields = {"Host": "localhost", **UPGRADE}
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()
