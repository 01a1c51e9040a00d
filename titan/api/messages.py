"""What the transport gives and gets: neither side of it knows Quart or hypercorn (architecture 4.3)."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field


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
    request_id: str = ""
    """Names the request in logs; errors carry it as `correlationId`."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. Transport matters (Date, compression, security headers, request ids) are added by the HTTP layer."""

    status: int
    body: bytes | AsyncGenerator[bytes, None] = b""
    """Whole, or in pieces; a generator is closed also where its pieces are not wanted any more."""
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str | None = "application/json"
    """None where there is no body."""
