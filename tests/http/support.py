"""A real server on loopback sockets, and clients that say exactly what a test wants said."""

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Self

import h11
import trio

from titan.api.messages import Request, Response
from titan.api.operation import Operation, Right
from titan.http.app import Api, Pages, Probes, make_app
from titan.http.limits import MIB, HttpLimits
from titan.http.observe import RequestRecord
from titan.http.rate import RateLimit
from titan.http.server import Endpoint, HttpServer
from titan.http.site import Feed
from titan.http.sockets import listen
from titan.http.tls import TlsCertificate
from titan.telemetry.health import Readiness

Answer = Callable[[Operation, Request], Awaitable[Response]]


@dataclass
class Observations:
    """Everything that the observer was told."""

    records: list[RequestRecord] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    connection_failures: list[BaseException] = field(default_factory=list)
    pauses: list[str] = field(default_factory=list)
    certificates: list[float | str] = field(default_factory=list)
    resumed: int = 0
    in_progress: int = 0

    def request_started(self) -> None:
        self.in_progress += 1

    def request_finished(self, record: RequestRecord) -> None:
        self.in_progress -= 1
        self.records.append(record)

    def request_failed(self, record: RequestRecord, error: Exception) -> None:
        self.failures.append(error)

    def connection_failed(self, error: BaseException) -> None:
        self.connection_failures.append(error)

    def certificate_changed(self, expires_at: float) -> None:
        self.certificates.append(expires_at)

    def certificate_refused(self, reason: str) -> None:
        self.certificates.append(reason)

    def accept_paused(self, reason: str) -> None:
        self.pauses.append(reason)

    def accept_resumed(self) -> None:
        self.resumed += 1


def row(operation_id: str, method: str, path: str, *, streams: bool = False) -> Operation:
    return Operation(operation_id, method, path, "Test", Right.READ, streams=streams)


TABLE = (
    row("GetAllThings", "GET", "/things"),
    row("PostThing", "POST", "/things"),
    row("GetThing", "GET", "/things/{thingId}"),
    row("PutThing", "PUT", "/things/{thingId}"),
    row("PutFile", "PUT", "/files/{fileId}", streams=True),
    row("GetFile", "GET", "/files/{fileId}"),
    row("GetPart", "GET", "/things/{thingId}/parts/{idShortPath}"),
    row("GetPartValue", "GET", "/things/{thingId}/parts/{idShortPath}/$value"),
)


async def echo(operation: Operation, request: Request) -> Response:
    """Answer with what the handler was given."""
    text = f"{operation.operation_id} {dict(request.path)} {request.query} {len(request.body)}"
    return Response(200, text.encode(), (("ETag", '"1"'),), "text/plain")


async def large(_operation: Operation, _request: Request) -> Response:
    """Answer more than the socket buffers of both sides hold."""
    return Response(200, b"x" * (8 * MIB), media_type="application/octet-stream")


def pages() -> Pages:
    return Pages(Probes(lambda: True, lambda: Readiness("ready", {})))


@dataclass
class Running:
    port: int
    server: HttpServer
    seen: Observations
    clients: list["Client"] = field(default_factory=list)

    async def connect(self) -> "Client":
        """Return a new connection, which the block's end closes if the test does not."""
        self.clients.append(Client(await trio.open_tcp_stream("127.0.0.1", self.port)))
        return self.clients[-1]


@asynccontextmanager
async def running(
    answer: Answer = echo,
    limits: HttpLimits | None = None,
    *,
    app_pages: Pages | None = None,
    base_path: str = "",
    tls: TlsCertificate | None = None,
    seen: Observations | None = None,
    rate_limit: RateLimit | None = None,
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = (),
    feeds: Mapping[tuple[str, ...], Feed] | None = None,
) -> AsyncIterator[Running]:
    """Serve TABLE by `answer` until the block ends."""
    seen = seen or Observations()
    limits = limits or HttpLimits()
    app = make_app(
        answer,
        app_pages or pages(),
        seen,
        api=Api(TABLE, base_path, feeds or {}),
        limits=limits,
        trusted_proxies=trusted_proxies,
        rate_limit=rate_limit,
    )
    sockets = listen("127.0.0.1", 0)
    server = HttpServer([Endpoint(sockets, app, tls)], seen, limits)
    site = Running(sockets[0].getsockname()[1], server, seen)
    try:
        async with trio.open_nursery() as nursery:
            server.start(nursery)
            try:
                yield site
            finally:
                server.abort()
                nursery.cancel_scope.cancel()
    finally:
        close_all(sockets, site.clients)


def close_all(sockets: Iterable[socket.socket], clients: Iterable["Client"]) -> None:
    for client in clients:
        client.close()
    for sock in sockets:
        sock.close()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection; reads answers with h11, sends raw bytes."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self._buffer = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        plain = self.stream if isinstance(self.stream, trio.SocketStream) else self.stream.transport_stream
        plain.socket.close()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def reply(self, method: str = "GET", *, within_s: float = 5) -> Reply:
        """Read one answer (after any 100 Continue)."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(self._buffer) if self._buffer else None
        status, headers, body = 0, {}, b""
        with trio.fail_after(within_s):
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    parser.receive_data(bytes(await self.stream.receive_some()))
                elif isinstance(event, h11.Response):
                    status = event.status_code
                    headers = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._buffer = parser.trailing_data[0]
                    return Reply(status, headers, body)
                elif isinstance(event, h11.ConnectionClosed):
                    raise EOFError

    async def ask(self, text: str, *, within_s: float = 5) -> Reply:
        """Send a head given as lines (Host is added) and read the answer."""
        first, _, rest = text.strip().partition("\n")
        lines = [f"{first} HTTP/1.1", "Host: localhost", *(line.strip() for line in rest.splitlines()), "", ""]
        await self.send("\r\n".join(lines).encode())
        return await self.reply(first.split()[0], within_s=within_s)

    async def is_closed(self, *, within_s: float = 5) -> bool:
        """Wait for the server's end of the connection; what comes before it is not expected."""
        with trio.move_on_after(within_s):
            try:
                return await self.stream.receive_some() == b""
            except trio.BrokenResourceError:
                return True
        return False


def text_of(reply: Reply) -> str:
    """Return the text of the one message of a `Result`."""
    found = re.search(rb'"text":"([^"]*)"', reply.body)
    assert found, reply
    return found[1].decode()
