"""`GET /events/ws`: the feed as messages of a WebSocket, one event each, until either side leaves."""

from collections.abc import Awaitable, Callable, Collection

import orjson
import trio

from titan.api.messages import Request, Response, Wire
from titan.api.results import problem
from titan.events.cloudevent import PREFIX
from titan.events.endpoint import WHY, open_stream
from titan.events.filters import MaySee, everybody_sees
from titan.events.handshake import Refusal, judge
from titan.events.socket import Close, Socket, text_frame
from titan.events.stream import End, EndReason, News, Stream, Streams
from titan.events.wish import read_wish

POSITION = f"{PREFIX}stream.position"
"""Type of a message that is no event: how far the client has got; the first one, and where nothing else is told."""

END = f"{PREFIX}stream.end"
"""Type of the last message."""

CODES = {EndReason.LEAVING: 1012, EndReason.SLOW: 1013, EndReason.GONE: 4410}
"""With what it is closed: service restart, try again later, and in the words of HTTP: gone."""


async def events_socket(
    streams: Streams, allowed_origins: Collection[str], request: Request, *, may_see: MaySee = everybody_sees
) -> Response:
    """Answer one request."""
    judged = judge(request.headers, allowed_origins)
    if isinstance(judged, Refusal):
        return problem(judged.status, judged.text, request_id=request.request_id, headers=judged.headers)
    wish = read_wish(request.query, request.headers)
    if isinstance(wish, list):
        return problem(400, wish, request_id=request.request_id)
    stream = await open_stream(streams, wish, request, may_see)
    if isinstance(stream, Response):
        return stream
    return Response(101, b"", judged.headers, None, conversation=_Telling(stream, streams.heartbeat_s))


class _Telling:
    """Tells one client what its stream tells."""

    def __init__(self, stream: Stream, ping_s: float) -> None:
        self._stream = stream
        self._ping_s = ping_s

    async def __call__(self, wire: Wire) -> None:
        """Until the stream ends, or the client: leaves, is gone, or sends what it may not."""
        socket = Socket(wire, self._ping_s)

        async def tell() -> Close:
            return await self._tell(socket)

        await socket.close(await _first_of(tell, socket.listen, socket.watch))

    def close(self) -> None:
        """Give the stream up."""
        self._stream.close()

    async def _tell(self, socket: Socket) -> Close:
        await socket.send(_note(POSITION, self._stream.cursor))
        while True:
            match await self._stream.next():
                case News([], cursor):
                    await socket.send(_note(POSITION, cursor))
                case News(some, _):
                    await socket.send(b"".join(event.frame for event in some))
                case End(reason, cursor):
                    await socket.send(_note(END, cursor, reason=reason, text=WHY[reason]))
                    return Close(CODES[reason], reason)


async def _first_of(*ways: Callable[[], Awaitable[Close | None]]) -> Close | None:
    """Run them all; return what the first to end says."""
    said: list[Close | None] = []

    async def run(way: Callable[[], Awaitable[Close | None]]) -> None:
        said.append(await way())
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for way in ways:
            nursery.start_soon(run, way)
    return said[0]


def _note(kind: str, cursor: str, **more: str) -> bytes:
    return text_frame(orjson.dumps({"type": kind, "cursor": cursor, **more}))
