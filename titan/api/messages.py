"""What the transport gives and gets: neither side of it knows Quart or hypercorn (architecture 4.3)."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One request for one operation, already within the limits of size and time."""

    path: Mapping[str, str]
    """Path parameters by their name in the operation's path, percent-decoded; identifiers still base64url."""
    query: tuple[tuple[str, str], ...] = ()
    """Query parameters in order, percent-decoded; repeated ones stand repeated."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name; repeated fields are joined with ', '."""
    body: bytes = b""
    base: str = ""
    """Where the API is mounted for this caller, e.g. '' or '/api/v3.1'; `Location` begins with it."""
    caller: str = "anonymous"
    stream: AsyncIterator[bytes] | None = None
    """The body in pieces, where the operation reads it itself (`Operation.streams`); nothing of it has been read.

    What the iterator raises is the transport's and not for a handler to catch: the rest will not come."""
    request_id: str = ""
    """Names the request in logs; errors carry it as `correlationId`."""


class AnswerCut(Exception):
    """The rest of an answer in pieces cannot be had; the text is for people.

    Where nothing was sent yet the client is told so, else it learns by the end of the connection.
    """


class Wire(Protocol):
    """A connection whose HTTP is over: it speaks another protocol from here on (101)."""

    async def receive(self) -> bytes:
        """Return bytes as they come; b'' once the client is gone. One task at a time."""

    async def send(self, data: bytes) -> None:
        """Send it all, pieces of different tasks one after the other; to a client that is gone it sends nothing."""

    def abort(self) -> None:
        """Cut the connection now, whatever is under way on it."""


class Conversation(Protocol):
    """What follows an answer with status 101, until the connection is closed."""

    async def __call__(self, wire: Wire) -> None:
        """Hold it. When it returns the connection is closed: what was sent still arrives."""

    def close(self) -> None:
        """Give up what it holds; called once, whether it was held or not."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. Transport matters (Date, compression, security headers, request ids) are added by the HTTP layer."""

    status: int
    body: bytes | AsyncGenerator[bytes, None] = b""
    """Whole, or in pieces; a generator is closed also where its pieces are not wanted (any more).

    One that cannot go on raises `AnswerCut`. Where the length is known, the handler gives the header."""
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str | None = "application/json"
    """None where there is no body."""
    because: str | None = None
    """Why it could not be done now, in a few words for the log; the client is told by the body."""
    mark: int = 0
    """What a read must show to be as new as this answer (`titan.store.contract`)."""
    ends_with_client: bool = False
    """True where the pieces may never end by themselves: they are not waited for once the client is gone."""
    conversation: Conversation | None = None
    """With status 101: what is spoken from here on."""
