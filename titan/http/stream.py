"""The stream between an accepted socket and hypercorn: it owns every time limit of a connection and can end it.

hypercorn sends inside a shield without a deadline, so a client that does not read would keep a cancelled server alive.
Here each write has a deadline, and `abort` closes the socket under a send that is blocked.
"""

import select
import socket
import struct
from collections.abc import Awaitable, Callable
from enum import Enum, auto

import trio

from titan.http.limits import HttpLimits

WRITE_PIECE_BYTES = 16 * 1024
"""A write's deadline starts anew with each piece that the kernel has taken; as large as one TLS record."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Transport = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Phase(Enum):
    """Where a connection is in its life; what may take how long depends on it."""

    NEW = auto()  # accepted, nothing of the first head read
    HEAD = auto()  # a head has begun
    BUSY = auto()  # a request is being read or answered; its own limits apply
    IDLE = auto()  # between two requests
    LINGER = auto()  # our side is closed; what still comes is dropped
    CLOSED = auto()


class ClientStream(trio.abc.HalfCloseableStream):
    """One client's connection.

    Not guaranteed: that the client has read what `send_all` took. Reads end (as if the client had closed) when the
    phase's time is over; writes raise `BrokenResourceError` when the client takes nothing for `write_timeout_s`, and
    the connection is then closed. `abort` may be called from any task at any time and makes both end at once.
    """

    def __init__(
        self,
        transport: Transport,
        limits: HttpLimits,
        *,
        is_draining: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._limits = limits
        self._is_draining = is_draining
        self.is_tls = isinstance(transport, trio.SSLStream)
        self._plain = transport.transport_stream if isinstance(transport, trio.SSLStream) else transport
        self.socket = self._plain.socket
        self.phase = Phase.NEW
        self.phase_since = trio.current_time()
        self.broken = False
        self.on_late_head: Callable[[], Awaitable[None]] | None = None
        """Answers a head that came too slowly and closes our side."""
        self._read_scope = trio.CancelScope()
        self.deadline = trio.current_time() + limits.head_timeout_s
        self._at_eof = False

    async def handshake(self) -> bool:
        """Make the TLS handshake, if there is one to make; False where the client failed to or was too slow."""
        if not isinstance(self._transport, trio.SSLStream):
            return True
        self.deadline = trio.current_time() + self._limits.handshake_timeout_s
        with trio.CancelScope(deadline=self.deadline) as self._read_scope:
            try:
                await self._transport.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            self.deadline = trio.current_time() + self._head_time_s()
            return True
        return False

    # What hypercorn's protocol reports.

    def request_started(self) -> None:
        """State that a whole head has been read; the body's limits are the request's own."""
        self._enter(Phase.BUSY, float("inf"))

    def request_finished(self, *, next_has_begun: bool) -> None:
        """State that the answer is out and the connection stays open."""
        if next_has_begun:
            self._enter(Phase.HEAD, trio.current_time() + self._head_time_s())
        else:
            self._enter(Phase.IDLE, trio.current_time() + self._at_most_drain(self._limits.keep_alive_s))

    def start_drain(self) -> None:
        """Give a connection without a request `drain_idle_s` for one that is on its way; busy ones finish first."""
        if self.phase in (Phase.NEW, Phase.HEAD, Phase.IDLE):
            self._enter(self.phase, min(self.deadline, trio.current_time() + self._limits.drain_idle_s))

    @property
    def waiting_s(self) -> float:
        """How long it has been without a whole request, be it that its head has begun; 0 while there is one."""
        has_none = self.phase in (Phase.NEW, Phase.HEAD, Phase.IDLE)
        return trio.current_time() - self.phase_since if has_none else 0.0

    def end_waiting(self) -> None:
        """Close a connection without a request, unless one is there already; where a head has begun, answer 408."""
        self._enter(Phase.HEAD if self.phase is Phase.HEAD else Phase.IDLE, trio.current_time())

    def _head_time_s(self) -> float:
        return self._at_most_drain(self._limits.head_timeout_s)

    def _at_most_drain(self, time_s: float) -> float:
        return min(time_s, self._limits.drain_idle_s) if self._is_draining() else time_s

    def _enter(self, phase: Phase, deadline: float) -> None:
        if self.phase in (Phase.LINGER, Phase.CLOSED):
            return
        if phase is not self.phase:
            self.phase = phase
            self.phase_since = trio.current_time()
        self.deadline = self._read_scope.deadline = deadline

    # trio's stream interface.

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return bytes as they come; b'' at the client's end or when its time is over."""
        while not self._at_eof:
            data = await self._receive_in_time(max_bytes)
            if data is None:
                await self._time_is_over()
            elif not data:
                self._at_eof = True
            elif self.phase is not Phase.LINGER:
                if self.phase in (Phase.NEW, Phase.IDLE):
                    self._enter(Phase.HEAD, self._head_deadline())
                return data
        return b""

    def _head_deadline(self) -> float:
        # The first head's time runs from the accept, so that a silent client is no cheaper to hold than a slow one.
        return self.deadline if self.phase is Phase.NEW else trio.current_time() + self._head_time_s()

    async def _receive_in_time(self, max_bytes: int | None) -> bytes | None:
        with trio.CancelScope(deadline=self.deadline) as self._read_scope:
            return bytes(await self._transport.receive_some(max_bytes))
        return None

    async def _time_is_over(self) -> None:
        match self.phase:
            case Phase.NEW | Phase.IDLE:
                self._close_unless_asked()
            case Phase.HEAD if self.on_late_head is not None:
                await self.on_late_head()
            case _:
                self._at_eof = True

    def _close_unless_asked(self) -> None:
        """Close a connection without a request; one that came in this very moment is answered, not cut off.

        The socket is closed here and not by hypercorn, some rounds of the loop later, in which one may still come.
        """
        if _is_readable(self.socket):
            self._enter(self.phase, trio.current_time() + self._limits.drain_idle_s)
            return
        self._enter(Phase.CLOSED, self.deadline)
        self._at_eof = True
        self.socket.close()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send it all, or close the connection and raise `BrokenResourceError` when the client takes nothing."""
        view = memoryview(data)
        for begin in range(0, len(view), WRITE_PIECE_BYTES):
            await self._send_piece(view[begin : begin + WRITE_PIECE_BYTES])

    async def _send_piece(self, piece: memoryview) -> None:
        try:
            with trio.CancelScope(deadline=trio.current_time() + self._limits.write_timeout_s) as scope:
                await self._transport.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.broken = True
            raise
        if scope.cancelled_caught:
            self.abort()
            raise trio.BrokenResourceError("the client took nothing of its answer in time")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until some bytes can be sent."""
        await self._transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Close our side: what was sent arrives, and from here on what comes is dropped for `linger_s` at most."""
        if self.phase in (Phase.LINGER, Phase.CLOSED):
            await trio.lowlevel.checkpoint()
            return
        self._enter(Phase.LINGER, trio.current_time() + self._limits.linger_s)
        await self._plain.send_eof()  # under TLS too: nobody on the web waits for a close_notify

    async def aclose(self) -> None:
        """Close, or while the client is still sending leave that to the reader, which ends after `linger_s`."""
        if self.phase is Phase.LINGER and not self._at_eof:
            await trio.lowlevel.checkpoint()
            return
        self.phase = Phase.CLOSED
        await self._transport.aclose()

    def abort(self) -> None:
        """Close the socket with a reset, now: blocked sends and reads end with an error, nothing is waited for."""
        if self.phase is Phase.CLOSED:
            return
        self.phase = Phase.CLOSED
        self.broken = self._at_eof = True
        if self.socket.fileno() != -1:
            # SO_LINGER 0: the kernel drops what it still holds for this client instead of keeping it for minutes.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.socket.close()


def _is_readable(sock: trio.socket.SocketType) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
