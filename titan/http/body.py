"""Reading a request's body within its limits of size, time, rate and memory."""

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Any, Self

import trio

from titan.http.limits import HttpLimits

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

SMALL_BYTES = 64 * 1024
"""What a body may take uncounted: who sends large bodies must not keep out who sends small ones."""


class BodyFault(Enum):
    """Why there is no body."""

    TOO_LARGE = auto()
    TOO_SLOW = auto()
    NO_ROOM = auto()  # too many other large bodies are in memory
    GONE = auto()  # the client closed, or sent something that is no HTTP


class BodyFailed(Exception):
    """The rest of a body that is read piece by piece will not come; nobody but the exchange answers for that."""

    def __init__(self, fault: BodyFault) -> None:
        super().__init__(fault.name)
        self.fault = fault


class BodyBudget:
    """The memory that the large bodies of all unfinished requests may take together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._taken = 0

    @property
    def taken_bytes(self) -> int:
        """What is in use, small bodies aside."""
        return self._taken

    def grow(self, more_bytes: int) -> bool:
        """Take more of it; False, and nothing taken, where there is not so much left."""
        if self._taken + more_bytes > self._max_bytes:
            return False
        self._taken += more_bytes
        return True


class Body:
    """One request's body: what it takes of the budget is given back by `release`, when the request is finished."""

    def __init__(self, headers: Mapping[str, str], limits: HttpLimits, budget: BodyBudget) -> None:
        self._limits = limits
        self._budget = budget
        self._counted = 0
        self._waited_s = 0.0
        self.max_bytes = limits.max_body_bytes
        self.received_bytes = 0
        self.is_complete = False
        # h11 has checked the digits, and that there is one length only.
        self._declared = None if "transfer-encoding" in headers else int(headers.get("content-length", "0"))

    @property
    def is_too_large(self) -> bool:
        """True where the request itself says so, or has gone beyond the limit already."""
        return max(self.received_bytes, self._declared or 0) > self.max_bytes

    @property
    def is_empty(self) -> bool:
        """True where the head says that there is none."""
        return self._declared == 0

    def release(self) -> None:
        """Give the memory back to the budget."""
        self._budget.grow(-self._counted)
        self._counted = 0

    async def read(self, receive: Receive) -> bytes | BodyFault:
        """Read all of it; what is too large by its own word is not read at all, a chunked one up to the limit."""
        if self.is_too_large:
            return BodyFault.TOO_LARGE
        if self.is_empty:  # its end is here already
            self.is_complete = (await receive())["type"] == "http.request"
            return b"" if self.is_complete else BodyFault.GONE
        started = trio.current_time()
        pieces: list[bytes] = []
        with trio.CancelScope(deadline=self._limits.body_deadline(started, 0)) as scope:
            while not self.is_complete:
                message = await receive()
                if message["type"] != "http.request":
                    return BodyFault.GONE
                self.received_bytes += len(message["body"])
                fault = self._fault()
                if fault is not None:
                    return fault
                pieces.append(message["body"])
                self.is_complete = not message["more_body"]
                scope.deadline = self._limits.body_deadline(started, self.received_bytes)
        return b"".join(pieces) if self.is_complete else BodyFault.TOO_SLOW

    async def next(self, receive: Receive) -> bytes | BodyFault:
        """Read one piece, b'' at the end; none is kept here, so none counts as memory.

        Only what the client takes is measured: it is not to blame for a disk that is slower than it.
        """
        while not self.is_complete:
            begun = trio.current_time()
            allowed_s = self._limits.body_deadline(0, self.received_bytes) - self._waited_s
            with trio.CancelScope(deadline=begun + min(allowed_s, self._limits.body_timeout_s)) as scope:
                message = await receive()
            self._waited_s += trio.current_time() - begun
            if scope.cancelled_caught:
                return BodyFault.TOO_SLOW
            if message["type"] != "http.request":
                return BodyFault.GONE
            self.is_complete = not message["more_body"]
            self.received_bytes += len(message["body"])
            if self.is_too_large:
                return BodyFault.TOO_LARGE
            if piece := message["body"]:
                return bytes(piece)
        return b""

    def _fault(self) -> BodyFault | None:
        if self.is_too_large:
            return BodyFault.TOO_LARGE
        more = max(0, self.received_bytes - SMALL_BYTES) - self._counted
        if not self._budget.grow(more):
            return BodyFault.NO_ROOM
        self._counted += more
        return None


class BodyStream:
    """A body for the one who answers the request, as an iterator of pieces; to be iterated once.

    `begin` is called before the first piece is waited for. Raises `BodyFailed` where the rest will not come.
    """

    def __init__(self, body: Body, receive: Receive, begin: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._receive = receive
        self._begin: Callable[[], Awaitable[None]] | None = begin

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._begin is not None:
            begin, self._begin = self._begin, None
            await begin()
        piece = await self._body.next(self._receive)
        if isinstance(piece, BodyFault):
            raise BodyFailed(piece)
        if not piece:
            raise StopAsyncIteration
        return piece
