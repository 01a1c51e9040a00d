"""Reading a request's body within its limits of size, time and rate."""

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Any

import trio

from titan.http.limits import HttpLimits

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class BodyFault(Enum):
    """Why there is no body."""

    TOO_LARGE = auto()
    TOO_SLOW = auto()
    GONE = auto()  # the client closed, or sent something that is no HTTP


def declared_bytes(headers: Mapping[str, str]) -> int | None:
    """Return what `Content-Length` says; None for a chunked body, 0 where there is none; h11 checked the digits."""
    if "transfer-encoding" in headers:
        return None
    return int(headers.get("content-length", "0"))


async def read_body(receive: Receive, declared: int | None, limits: HttpLimits) -> bytes | BodyFault:
    """Read all of it; what is too large by its own declaration is not read at all, a chunked one up to the limit."""
    if declared is not None and declared > limits.max_body_bytes:
        return BodyFault.TOO_LARGE
    message = await receive() if declared == 0 else None
    if message is not None:
        return b"" if message["type"] == "http.request" else BodyFault.GONE
    return await _read_in_time(receive, limits)


async def _read_in_time(receive: Receive, limits: HttpLimits) -> bytes | BodyFault:
    started = trio.current_time()
    pieces: list[bytes] = []
    received = 0
    with trio.CancelScope(deadline=limits.body_deadline(started, 0)) as scope:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return BodyFault.GONE
            received += len(message["body"])
            if received > limits.max_body_bytes:
                return BodyFault.TOO_LARGE
            pieces.append(message["body"])
            if not message["more_body"]:
                return b"".join(pieces)
            scope.deadline = limits.body_deadline(started, received)
    return BodyFault.TOO_SLOW
