"""One client's connection from accept to close: hypercorn's connection server over our stream and protocol."""

from collections.abc import Callable
from typing import Any, Protocol, cast

import trio
from hypercorn.events import Event, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ConnectionState, Scope
from hypercorn.utils import parse_socket_addr

from titan.http.headers import RawHeaders
from titan.http.protocol import Http1Protocol, ServerConfig
from titan.http.stream import ClientStream
from titan.http.wire import RawWire

LINK = "titan.link"
"""Key of the scope's extension that is the request's `Link`."""


class Link(Protocol):
    """What an application may ask of the connection that its request came by."""

    @property
    def is_broken(self) -> bool:
        """True where the client is gone: what is sent goes nowhere."""

    @property
    def refused_status(self) -> int | None:
        """The status with which the protocol itself answered, in the middle of the body."""

    async def continue_if_awaited(self) -> None:
        """Send '100 Continue' if the client waits for it before it sends its body."""

    async def switch(self, headers: RawHeaders) -> RawWire:
        """Answer 101 with these headers and hand over the connection; the caller owes it a `close`."""


class ConnectionServer(TCPServer):
    """hypercorn's server of one connection, without its own timers: the stream has them all.

    Not its `run`: that one guesses TLS from an AttributeError, and puts a protocol switch in front that would speak
    HTTP/2 to whoever asks.
    """

    stream: ClientStream  # type: ignore[assignment]  # hypercorn annotates the one class that it makes itself
    protocol: Http1Protocol  # type: ignore[assignment]

    def __init__(self, app: ASGIFramework, config: ServerConfig, context: WorkerContext, stream: ClientStream) -> None:
        super().__init__(self._call_app, config, context, {}, cast("trio.SSLStream[trio.SocketStream]", stream))
        self._asgi_app = app
        self._reading = trio.CancelScope()

    async def run(self) -> None:
        """Serve requests until either side closes; the peer being gone is no error."""
        try:
            sock = self.stream.socket
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
        except OSError:
            return
        try:
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self.protocol = Http1Protocol(
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState({}),
                    self.stream.is_tls,
                    client,
                    server,
                    self.protocol_send,
                )
                self.stream.on_late_head = self._refuse_late_head
                with self._reading:
                    await self._read_data()
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        """Take what the protocol wants sent or has to say."""
        if not isinstance(event, Updated):
            await super().protocol_send(event)
            if self.is_broken:
                # Behind a request that something follows, hypercorn reads on once its answer is out: it never will be.
                self._reading.cancel()
        elif event.idle:
            self.stream.request_finished(next_has_begun=self.protocol.has_begun_next)
        else:
            self.stream.request_started()

    @property
    def is_broken(self) -> bool:
        """True where the client is gone: what is sent goes nowhere."""
        return self.stream.broken

    @property
    def refused_status(self) -> int | None:
        """The status with which the protocol itself answered, in the middle of the body."""
        return self.protocol.refused_status

    async def continue_if_awaited(self) -> None:
        """Send '100 Continue' if the client waits for it before it sends its body."""
        await self.protocol.continue_if_awaited()

    async def switch(self, headers: RawHeaders) -> RawWire:
        """Answer 101 with these headers and hand over the connection; the caller owes it a `close`."""
        return await self.protocol.switch(headers, self.stream.abort)

    async def _refuse_late_head(self) -> None:
        await self.protocol.refuse(408)

    async def _call_app(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        sync_spawn: Callable[..., Any],
        call_soon: Callable[..., Any],
    ) -> None:
        del sync_spawn, call_soon  # for applications that are not async
        extensions = cast("dict[str, Any]", scope["extensions"])  # type: ignore[typeddict-item]
        extensions[LINK] = self
        await self._asgi_app(scope, receive, send)
