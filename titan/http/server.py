"""Accepting connections and serving each in its own task: the part of hypercorn's `serve` that had to be ours.

hypercorn keeps the listening socket open while it stops; here it is closed first, and what waits in its backlog is
taken before, so that no client is reset that the kernel has already promised a connection.
"""

import errno
import select
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import trio
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from titan.http.connection import ConnectionServer
from titan.http.limits import HttpLimits
from titan.http.observe import RequestObserver, malformed_request
from titan.http.protocol import ServerConfig
from titan.http.sockets import BACKLOG, affordable_connections
from titan.http.stream import ClientStream, Transport
from titan.http.tls import TlsCertificate

ACCEPT_PAUSE_S = 0.1
"""How long accepting rests when the process or the machine has no descriptors or memory left for one more."""

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One port: its listening sockets (owned by the process, so that they outlive a restart) and what it serves."""

    sockets: Sequence[socket.socket]
    app: ASGIFramework
    tls: TlsCertificate | None = None


class HttpServer:
    """The connections of some endpoints.

    Not guaranteed: any order between connections; that an idle connection is kept when all are in use and another
    client comes. A connection that fails takes no other with it; its error goes to the
    observer. Cancelling the nursery does not end a connection whose client does not read: `abort` does.
    """

    def __init__(self, endpoints: Sequence[Endpoint], observer: RequestObserver, limits: HttpLimits) -> None:
        self._endpoints = endpoints
        self._observer = observer
        self._limits = limits
        self._config = ServerConfig(
            max_head_bytes=limits.max_head_bytes, on_refused=self._on_refused, report=observer.connection_failed
        )
        self._context = WorkerContext(None)
        self._listeners: list[trio.SocketListener] = []
        self._accepting: list[trio.CancelScope] = []
        self._streams: set[ClientStream] = set()
        self._changed = trio.lowlevel.ParkingLot()
        self._most = min(limits.max_connections, affordable_connections())
        self._paused = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._streams)

    def start(self, nursery: trio.Nursery) -> None:
        """Accept on every socket from now on; connections live in the nursery."""
        for endpoint in self._endpoints:
            for sock in endpoint.sockets:
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
                self._listeners.append(listener)
                scope = trio.CancelScope()
                self._accepting.append(scope)
                nursery.start_soon(self._accept_within, scope, endpoint, listener, nursery)

    def stop_accepting(self) -> None:
        """Leave what connects from now on to the backlogs, for whoever accepts on these sockets next."""
        for scope in self._accepting:
            scope.cancel()

    def close_listeners(self, nursery: trio.Nursery) -> None:
        """Take what waits in the backlogs, then close the sockets, without a pause between the two."""
        for endpoint in self._endpoints:
            for sock in endpoint.sockets:
                for accepted in self._backlog(sock):
                    transport = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
                    self._admit(endpoint, transport, nursery)
        for listener in self._listeners:
            listener.socket.close()

    def _backlog(self, sock: socket.socket) -> Iterator[socket.socket]:
        for _ in range(BACKLOG):  # and no more, however fast clients come
            if not _is_readable(sock):
                return
            try:
                accepted, _ = sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # it left while it waited
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                self._pause(error.strerror or str(error))
                return
            yield accepted

    def start_drain(self) -> None:
        """Say `Connection: close` in every answer from now on and close what stays idle for `drain_idle_s`."""
        self._config.draining = True
        for stream in self._streams:
            stream.start_drain()

    async def wait_closed(self) -> None:
        """Wait until no connection is open."""
        await self._wait_below(1)

    def abort(self) -> None:
        """Close every connection at once, whatever it is doing."""
        for stream in self._streams:
            stream.abort()

    async def _wait_below(self, count: int) -> None:
        while len(self._streams) >= count:
            await self._changed.park()

    async def _accept_within(
        self, scope: trio.CancelScope, endpoint: Endpoint, listener: trio.SocketListener, nursery: trio.Nursery
    ) -> None:
        with scope:
            await self._accept(endpoint, listener, nursery)

    async def _accept(self, endpoint: Endpoint, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        while True:
            try:
                if len(self._streams) >= self._most:
                    await trio.lowlevel.wait_readable(listener.socket)
                    await self._make_room()
                transport = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                self._pause(error.strerror or str(error))
                self._close_longest_waiting()
                await trio.sleep(ACCEPT_PAUSE_S)
            else:
                self._resume()
                self._admit(endpoint, transport, nursery)

    async def _make_room(self) -> None:
        while len(self._streams) >= self._most:
            if not self._close_longest_waiting():
                self._pause(f"all {self._most} connections are in use")
            with trio.move_on_after(ACCEPT_PAUSE_S):
                await self._wait_below(self._most)

    def _close_longest_waiting(self) -> bool:
        """Let a client that asks for nothing make room; who asked a moment ago stays, however many knock."""
        longest = max(self._streams, key=lambda stream: stream.waiting_s, default=None)
        if longest is None or longest.waiting_s < self._limits.crowded_idle_s:
            return False
        longest.end_waiting()
        return True

    def _pause(self, reason: str) -> None:
        if not self._paused:
            self._observer.accept_paused(reason)
        self._paused = True

    def _resume(self) -> None:
        if self._paused:
            self._observer.accept_resumed()
        self._paused = False

    def _admit(self, endpoint: Endpoint, transport: trio.SocketStream, nursery: trio.Nursery) -> None:
        wrapped: Transport = transport
        if endpoint.tls is not None:
            wrapped = trio.SSLStream(transport, endpoint.tls.context, server_side=True, https_compatible=True)
        stream = ClientStream(wrapped, self._limits, is_draining=self._is_draining)
        self._streams.add(stream)  # here, not in the task: the next accept counts it
        nursery.start_soon(self._serve, endpoint, stream)

    def _is_draining(self) -> bool:
        return self._config.draining

    async def _serve(self, endpoint: Endpoint, stream: ClientStream) -> None:
        try:
            if await stream.handshake():
                await ConnectionServer(endpoint.app, self._config, self._context, stream).run()
        except* Exception as errors:  # noqa: BLE001  the border between one connection and the others
            self._observer.connection_failed(errors)
        finally:
            stream.abort()
            self._streams.discard(stream)
            self._changed.unpark_all()

    def _on_refused(self, status: int, client: str, request_id: str) -> None:
        self._observer.request_started()
        self._observer.request_finished(malformed_request(status, client, request_id))


def _is_readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
