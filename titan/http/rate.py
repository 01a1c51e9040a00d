"""How often one client may ask: the verdict on a request, and how its answer tells of it.

The header fields are those of draft-ietf-httpapi-ratelimit-headers-11 (May 2026).
"""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from titan.api.messages import Response
from titan.api.results import unavailable
from titan.http.headers import RawHeaders

WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one request was told, as of the moment in which it was counted."""

    is_granted: bool
    per_minute: int
    remaining: int
    """How many more would be granted at once."""
    next_s: float
    """Until one more than `remaining` would be."""

    @property
    def window_s(self) -> int:
        """In how many seconds a client should use up no more than `remaining`.

        So that nobody who divides the two arrives at more than the rate that is granted for long (draft, 8.5), and
        nobody who has nothing left comes back before there is something.
        """
        return max(1, ceil(self.remaining * WINDOW_S / self.per_minute if self.remaining else self.next_s))


class RateLimit(Protocol):
    """Counts the requests of each client."""

    async def ask(self, client: str) -> Verdict | None:
        """Count one request of the client at this address; None: nobody can count now, and it is let through.

        A refused request is not counted. Raises for bugs only; takes a bounded time.
        """


def fields(verdict: Verdict) -> RawHeaders:
    """Return the header fields of the answer, whatever that is."""
    policy = b'"client";q=%d;w=%d' % (verdict.per_minute, WINDOW_S)
    limit = b'"client";r=%d;t=%d' % (verdict.remaining, verdict.window_s)
    return [(b"ratelimit-policy", policy), (b"ratelimit", limit)]


def refusal(verdict: Verdict, request_id: str) -> Response:
    """Answer 429; `Retry-After` is not before the end of the window in the `RateLimit` field (draft, 6)."""
    text = f"too many requests: this client's address may send {verdict.per_minute} a minute"
    because = f"more than {verdict.per_minute} requests a minute"
    return unavailable(text, because=because, status=429, request_id=request_id, retry_after_s=verdict.window_s)
