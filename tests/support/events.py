"""Clients of `/events`: what a server-sent event says, and one who follows, and comes back as a browser does."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import h11
import httpx
import trio

PATIENCE_S = 20.0
"""How long a test waits for an event: longer than a heartbeat."""


@dataclass
class Told:
    """One block of a stream: an event, or where there is no data just a sign of life."""

    id: str | None = None
    event: str = "message"
    data: Any = None
    retry_ms: int | None = None
    comments: list[str] = field(default_factory=list)


def parse(block: str) -> Told:
    """Read one block of a stream, as WHATWG HTML 9.2.6 says."""
    told = Told()
    data = []
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                told.comments.append(value)
            case "id":
                told.id = value
            case "event":
                told.event = value
            case "retry":
                told.retry_ms = int(value)
            case "data":
                data.append(value)
    told.data = json.loads("\n".join(data)) if data else None
    return told


class StreamEnded(Exception):
    """Nothing comes any more."""


class Follower:
    """One open stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.status = 0
        self.headers: dict[str, str] = {}
        self.cursor = ""
        """What a client would come back with."""
        self._http = h11.Connection(h11.CLIENT)
        self._text = b""

    async def ask(self, target: str, headers: dict[str, str]) -> None:
        """Send the request and read the head of its answer."""
        request = h11.Request(method="GET", target=target, headers=[("Host", "localhost"), *headers.items()])
        end = h11.EndOfMessage()
        await self.stream.send_all((self._http.send(request) or b"") + (self._http.send(end) or b""))
        event = await self._next()
        assert isinstance(event, h11.Response), event
        self.status = event.status_code
        self.headers = {name.decode(): value.decode() for name, value in event.headers}

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(bytes(await self.stream.receive_some()))
        return event

    async def body(self) -> bytes:
        """Return the whole of an answer that is no stream."""
        text = self._text
        while isinstance(event := await self._next(), h11.Data):
            text += bytes(event.data)
        return text

    async def block(self, *, within_s: float = PATIENCE_S) -> Told:
        """Return the next block. Raises `StreamEnded` at the stream's end."""
        with trio.fail_after(within_s):
            while b"\n\n" not in self._text:
                try:
                    event = await self._next()
                except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
                    raise StreamEnded("cut off") from error
                if not isinstance(event, h11.Data):
                    raise StreamEnded
                self._text += bytes(event.data)
        block, _, self._text = self._text.partition(b"\n\n")
        told = parse(block.decode())
        self.cursor = told.id or self.cursor
        return told

    async def event(self, *, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Return the next CloudEvent."""
        while (told := await self.block(within_s=within_s)).data is None:
            pass
        assert told.event == "message", told
        assert told.data["cursor"] == told.id
        event: dict[str, Any] = told.data
        return event

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next CloudEvents."""
        return [await self.event() for _ in range(count)]

    async def end(self) -> dict[str, Any]:
        """Return what the server says at the end; events before it are passed over."""
        while (told := await self.block()).event == "message":
            pass
        assert told.event == "end"
        reason: dict[str, Any] = told.data
        return reason


@asynccontextmanager
async def asking(url: str, target: str, **headers: str) -> AsyncIterator[Follower]:
    """Ask for events in a way of one's own."""
    at = urlsplit(url)
    assert at.hostname is not None
    assert at.port is not None
    async with await trio.open_tcp_stream(at.hostname, at.port) as stream:
        follower = Follower(stream)
        with trio.fail_after(PATIENCE_S):
            await follower.ask(target, headers)
        yield follower


@asynccontextmanager
async def following(url: str, query: str = "", **headers: str) -> AsyncIterator[Follower]:
    """Follow the events of an instance; once the block begins nothing is missed."""
    async with asking(url, f"/events{query}", **({"Accept": "text/event-stream"} | headers)) as follower:
        assert follower.status == 200, await follower.body()
        await follower.block()
        yield follower


def pages(url: str, cursor: str, *, limit: int = 100) -> Iterator[dict[str, Any]]:
    """Iterate over all events behind a cursor that are there, page by page."""
    while True:
        answer = httpx.get(f"{url}/events", params={"wait": 0, "cursor": cursor, "limit": limit})
        assert answer.status_code == 200, answer.text
        yield from (page := answer.json())["result"]
        if not page["result"]:
            return
        cursor = page["paging_metadata"]["cursor"]
