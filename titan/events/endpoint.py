"""`GET /events`: a stream of server-sent events, or one page of the feed in JSON for who polls."""

import random
from collections.abc import AsyncGenerator

import orjson
import trio

from titan.api.media import JSON, accepts
from titan.api.messages import Request, Response
from titan.api.results import problem, unavailable
from titan.api.services import PageSizes
from titan.events.cloudevent import Event
from titan.events.filters import MaySee, everybody_sees, wants_of
from titan.events.schema import SCHEMA
from titan.events.stream import End, EndReason, News, Refused, Stream, Streams
from titan.events.wish import Wish, read_wish
from titan.store.contract import StoreUnavailable

SSE = "text/event-stream"

PAGE_BYTES = 1 << 20
"""About how much one page holds at most."""

STORE_S = 2.0
"""How long a page that need not be waited for may take all the same, because the store must be asked."""

BACK_MS = (500, 1500)
"""When clients of a stream that ended come back: not all at once."""

HEADERS = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
"""Each event must come through at once: nobody on the way may keep it, nginx included."""

WHY = {
    EndReason.LEAVING: "this instance stops or starts anew; come back with the cursor",
    EndReason.SLOW: "more than 1 MiB waited for this client to read; come back with the cursor",
    EndReason.GONE: "what follows the cursor cannot be told any more; the next request will say what to do",
}


async def events(streams: Streams, sizes: PageSizes, request: Request, *, may_see: MaySee = everybody_sees) -> Response:
    """Answer one request."""
    wish = read_wish(request.query, request.headers, max_limit=sizes.most)
    if isinstance(wish, list):
        return problem(400, wish, request_id=request.request_id)
    media = SSE if wish.wait_s is None else JSON
    if not accepts(request.headers.get("accept"), media):
        text = f"this answers {media}; without 'wait' it is {SSE}, with it {JSON}"
        return problem(406, text, request_id=request.request_id)
    stream = await open_stream(streams, wish, request, may_see)
    if isinstance(stream, Response):
        return stream
    if wish.wait_s is None:
        pieces = _sse(stream)
        await anext(pieces)  # from here on it closes the stream, also where nobody asks it for a piece
        return Response(200, pieces, HEADERS, SSE, ends_with_client=True)
    return await _page(stream, wish, wish.limit or sizes.default)


async def open_stream(streams: Streams, wish: Wish, request: Request, may_see: MaySee) -> Stream | Response:
    """Return the stream that was asked for, which is then to be closed, or why there is none."""
    try:
        stream = await streams.open(wants_of(wish.chosen, request.caller, may_see), wish.cursor)
    except StoreUnavailable as away:
        text = f"the store cannot serve now: {away.reason}"
        return unavailable(text, because=away.reason, request_id=request.request_id)
    return _refusal(stream, request.request_id) if isinstance(stream, Refused) else stream


def schema_page() -> Response:
    """Answer `GET /events/schema.json`."""
    return Response(200, orjson.dumps(SCHEMA), media_type="application/schema+json")


def _refusal(refused: Refused, request_id: str) -> Response:
    if refused.status == 503:
        return unavailable(refused.text, request_id=request_id)
    return problem(refused.status, refused.text, request_id=request_id)


async def _sse(stream: Stream) -> AsyncGenerator[bytes, None]:
    try:
        yield b""
        yield b"retry: %d\n%b" % (random.randint(*BACK_MS), _position(stream.cursor))  # noqa: S311
        while True:
            match await stream.next():
                case News([], cursor):
                    yield b": \n" + _position(cursor)
                case News(some, _):
                    yield b"".join(event.sse for event in some)
                case End(reason, cursor):
                    yield _end(reason, cursor)
                    return
    finally:
        stream.close()


def _position(cursor: str) -> bytes:
    # An event without data is none, but a browser keeps its id for when it comes back.
    return b"id: %b\n\n" % cursor.encode("ascii")


def _end(reason: EndReason, cursor: str) -> bytes:
    told = orjson.dumps({"reason": reason, "cursor": cursor, "text": WHY[reason]})
    return b"event: end\nid: %b\ndata: %b\n\n" % (cursor.encode("ascii"), told)


async def _page(stream: Stream, wish: Wish, limit: int) -> Response:
    """Collect what is there; where there is nothing, wait for the first of what comes."""
    found: list[Event] = []
    size = 0
    cursor = stream.cursor
    deadline = trio.current_time() + (wish.wait_s or 0)
    try:
        while len(found) < limit and size < PAGE_BYTES:
            if stream.is_idle and (found or trio.current_time() >= deadline):
                break
            told = await _next_by(stream, deadline)
            if not isinstance(told, News):
                break
            some = told.events[: limit - len(found)]
            found += some
            size += sum(len(event.json) for event in some)
            cursor = told.cursor if len(some) == len(told.events) else some[-1].cursor
    finally:
        stream.close()
    head = orjson.dumps({"paging_metadata": {"cursor": cursor}})
    body = b'%b,"result":[%b]}' % (head[:-1], b",".join(event.json for event in found))
    return Response(200, body, (("Cache-Control", "no-store"),), JSON)


async def _next_by(stream: Stream, deadline: float) -> News | End | None:
    """Return what comes next; None where only waiting until the deadline would tell, or the store does not."""
    if not stream.is_idle:
        deadline = max(deadline, trio.current_time() + STORE_S)
    with trio.move_on_at(deadline):
        return await stream.next()
    return None
