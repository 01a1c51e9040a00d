"""The server's side of a WebSocket that only tells: frames out, and bounds on what comes in (RFC 6455).

No extensions: compression would cost memory for each client, and unpack what a client sends without a bound.
"""

from dataclasses import dataclass
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong
from wsproto.frame_protocol import CloseReason, FrameProtocol

from titan.api.messages import Wire

MAX_MESSAGE = 4096
"""Characters or bytes of one message from a client; nothing is done with it."""

MAX_BYTES = 32 * 1024
"""What a client may send between two pings of ours, all in all."""

UNANSWERED = 2
"""Pings without an answer after which a client is gone: one may be behind what the client has still to read."""


@dataclass(frozen=True, slots=True)
class Close:
    """How a WebSocket ends from our side."""

    code: int | None
    """None: the client gave none, and gets none."""
    reason: str = ""


GONE = None
"""In the place of a `Close`: there is nobody to say it to."""


PING = bytes(FrameProtocol(client=False, extensions=[]).ping())
"""Made beforehand: a client may have said goodbye in the moment in which it is due."""


def text_frame(text: bytes) -> bytes:
    """Return a whole message as the one frame that every client gets."""
    return bytes(FrameProtocol(client=False, extensions=[]).send_data(text.decode()))


class Socket:
    """One client. `listen` and `watch` say how it ends; after `close` nothing may be sent."""

    def __init__(self, wire: Wire, ping_s: float) -> None:
        self._wire = wire
        self._ping_s = ping_s
        self._protocol = Connection(ConnectionType.SERVER)
        self._unanswered = 0
        self._received = 0  # since the last ping
        self._message = 0  # so far, of the message that is coming

    async def send(self, frames: bytes) -> None:
        """Send whole frames."""
        await self._wire.send(frames)

    async def close(self, close: Close | None) -> None:
        """Say the end; where nobody is there to hear it, cut the connection."""
        if close is None:
            self._wire.abort()
            return
        await self._wire.send(
            self._protocol.send(CloseConnection(close.code or CloseReason.NO_STATUS_RCVD, close.reason))
        )

    async def listen(self) -> Close | None:
        """Read and drop what the client sends, answer its pings; return when it leaves or sends what it may not."""
        while data := await self._wire.receive():
            self._received += len(data)
            self._protocol.receive_data(data)
            pongs = b""
            for event in self._protocol.events():
                match event:
                    case Ping():
                        pongs += self._protocol.send(event.response())
                    case Pong():
                        self._unanswered = 0
                    case CloseConnection(code):
                        return Close(None if code == CloseReason.NO_STATUS_RCVD else int(code))
                    case Message() if self._is_too_large(event):
                        return Close(CloseReason.MESSAGE_TOO_BIG, f"more than {MAX_MESSAGE} bytes; this only tells")
                    case _:
                        pass
            if self._received > MAX_BYTES:
                return Close(CloseReason.POLICY_VIOLATION, f"more than {MAX_BYTES} bytes in {self._ping_s:g} s")
            if pongs:
                await self._wire.send(pongs)
        return GONE

    async def watch(self) -> Close | None:
        """Ping; return when the client does not answer."""
        while True:
            await trio.sleep(self._ping_s)
            if self._unanswered == UNANSWERED:
                return GONE
            self._unanswered += 1
            self._received = 0
            await self._wire.send(PING)

    def _is_too_large(self, message: Message[Any]) -> bool:
        self._message += len(message.data)
        is_too_large = self._message > MAX_MESSAGE
        if message.message_finished:
            self._message = 0
        return is_too_large
