"""HTTP/1.1 as this server speaks it: hypercorn's h11 protocol with our rules on heads and our words in refusals.

Left out on purpose: HTTP/2, also by upgrade or prior knowledge. An `Upgrade` header is ignored, as RFC 9110 7.8 allows,
but where the answer is 101: what is spoken then is not hypercorn's business, so that whoever asks for another protocol
passes the same limits, gets the same refusals and is logged like everybody else.
"""

import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from wsgiref.handlers import format_date_time

import h11
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.logging import Logger
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from titan.http.errors import protocol_refusal
from titan.http.headers import RawHeaders, new_request_id
from titan.http.wire import RawWire

if TYPE_CHECKING:
    from hypercorn.typing import H11SendableEvent

_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}

OnRefused = Callable[[int, str, str], None]
"""Told the status, the client and the request id of what never reached the application."""


class _Log(Logger):
    """hypercorn's log: no access lines (the observer has them), no tracebacks on stderr."""

    def __init__(self, config: Config, report: Callable[[BaseException], None]) -> None:
        config.errorlog = config.accesslog = None
        super().__init__(config)
        self._report = report

    async def access(self, request: object, response: object, request_time: float) -> None:
        """Say nothing."""

    async def exception(self, message: str, *args: object, **kwargs: object) -> None:
        """Report the error that is being handled."""
        del message, args, kwargs
        error = sys.exception()
        assert error is not None
        self._report(error)


class ServerConfig(Config):
    """hypercorn's settings for one http actor; what is said in every answer stands here."""

    def __init__(self, *, max_head_bytes: int, on_refused: OnRefused, report: Callable[[BaseException], None]) -> None:
        """Take where unexpected errors of hypercorn's own tasks are reported; it prints nothing itself."""
        self.on_refused = on_refused
        self._log = _Log(self, report)
        self.h11_max_incomplete_size = max_head_bytes
        self.keep_alive_max_requests = 2**31  # a connection's age is the balancer's business, not its request count
        self.draining = False
        self._second = -1
        self._headers: list[tuple[bytes, bytes]] = []

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Return what every answer carries; made anew once a second, because of `Date`."""
        del protocol
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._headers = [(b"date", format_date_time(second).encode()), (b"server", b"titan-aas")]
        return [*self._headers, (b"connection", b"close")] if self.draining else self._headers


class _PatientConnection(h11.Connection):
    """Says '100 Continue' only when the application begins to read, so that a 413 can come instead."""

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        return False


class _Handed:
    """In the place of the HTTP connection once another protocol is spoken: there are no requests any more."""

    they_are_waiting_for_100_continue = False

    def next_event(self) -> type[h11.NEED_DATA]:
        return h11.NEED_DATA


class Http1Protocol(H11Protocol):
    """One connection's requests, one after the other.

    Refused before the application sees it, with the connection closed: a head that is too large (431, 414), malformed
    (400) or ambiguous about where its body ends (400; RFC 9112, 6.1 and 11.2).
    """

    config: ServerConfig
    refused_status: int | None = None
    """Set where a request was refused in the middle of its body, when it had reached the application already."""

    def __init__(self, *args: Any) -> None:
        """Take what hypercorn's protocol takes."""
        super().__init__(*args)
        self.connection = _PatientConnection(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)
        self._head = b""
        self._wire: RawWire | None = None

    async def handle(self, event: Event) -> None:
        """Take what came, or the end."""
        if self._wire is None:
            await super().handle(event)
        elif isinstance(event, RawData):
            await self._wire.take(bytes(event.data))
        else:
            self._wire.end()

    async def switch(self, headers: RawHeaders, abort: Callable[[], None]) -> RawWire:
        """Answer 101 and hand the connection over; the request, with its `Upgrade`, has been read whole.

        Where the client is gone already, what is handed over has ended.
        """
        assert isinstance(self.stream, HTTPStream)
        connection = cast("h11.Connection", self.connection)
        date_and_server = [field for field in self.config.response_headers("h11") if field[0] != b"connection"]
        # Before it is sent: where that fails, it is the wire that must hear of the end, no longer the stream.
        self._wire = RawWire(self.send, abort, connection.trailing_data[0])
        self.stream.closed = True  # hypercorn's end of the exchange: nothing more is sent by it
        self.stream = None
        head = h11.InformationalResponse(status_code=101, headers=[*headers, *date_and_server], reason=_REASONS[101])
        await self._send_h11_event(head)
        self.connection = cast("h11.Connection", _Handed())
        await self.can_read.set()  # whoever reads has waited for what comes of the upgrade
        return self._wire

    @property
    def has_begun_next(self) -> bool:
        """True where bytes of a further request have been read already."""
        return bool(self.connection.trailing_data[0])

    async def continue_if_awaited(self) -> None:
        """Send '100 Continue' if the client waits for it before it sends its body."""
        connection = cast("h11.Connection", self.connection)
        if connection.client_is_waiting_for_100_continue and connection.our_state is h11.SEND_RESPONSE:
            await self._send_h11_event(
                h11.InformationalResponse(status_code=100, headers=self.config.response_headers("h11"))
            )

    async def refuse(self, status: int) -> None:
        """Answer without the application and close."""
        await self._send_error_response(status)
        await self.send(Closed())

    async def _check_protocol(self, event: h11.Request) -> None:
        """Do nothing: there is no other protocol to change to."""

    async def _create_stream(self, request: h11.Request) -> None:
        status = head_fault(request, self.config.h11_max_incomplete_size)
        if status is not None:
            await self.refuse(status)
            return
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def stream_send(self, event: StreamEvent) -> None:
        """Send what the application said; final heads get a reason phrase, for people and for old clients."""
        if not isinstance(event, Response) or event.status_code < 200:
            await super().stream_send(event)
            return
        headers = [*event.headers, *self.config.response_headers("h11")]
        await self._send_h11_event(_response(event.status_code, headers))

    async def _send_h11_event(self, event: "H11SendableEvent") -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data  # waits for the body: one segment, one system call
            return
        data, self._head = self._head + data, b""
        if data:
            await self.send(RawData(data=data))

    async def _send_error_response(self, status_code: int) -> None:
        unread, client_is_gone = self.connection.trailing_data
        if client_is_gone:
            return
        request_id = new_request_id()
        if self.stream is not None:  # the application has the request, and will record it
            self.refused_status = status_code = 400
        else:
            if status_code == 431 and b"\n" not in unread and self.connection.their_state is h11.ERROR:
                status_code = 414
            self.config.on_refused(status_code, self.client[0] if self.client else "", request_id)
        body = protocol_refusal(status_code, request_id)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await self._send_h11_event(_response(status_code, [*headers, *self.config.response_headers("h11")]))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


def _response(status: int, headers: list[tuple[bytes, bytes]]) -> h11.Response:
    return h11.Response(status_code=status, headers=headers, reason=_REASONS.get(status, b""))


def head_fault(request: h11.Request, max_head_bytes: int) -> int | None:
    """Return the status with which a complete head is refused, None where it is fine.

    h11 bounds what it has to keep, so a larger head passes where it comes in one piece; and it lets the transfer
    coding win over a length, which a proxy in front may read the other way round (request smuggling).
    """
    size = len(request.target) + 16
    has_length = has_coding = False
    for name, value in request.headers:
        size += len(name) + len(value) + 4
        if name == b"content-length":
            has_length = True
        elif name == b"transfer-encoding":
            has_coding = True
    if size > max_head_bytes:
        return 414 if len(request.target) > max_head_bytes else 431
    if request.http_version not in (b"1.1", b"1.0"):
        return 505
    if has_coding and (has_length or request.http_version == b"1.0"):
        return 400
    return None
