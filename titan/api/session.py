"""How new an answer must be: `Cache-Control: no-cache`, and the session token (architecture 4.5).

A token names the newest change that its holder has seen, on every answer of the API in `X-Titan-Session`. Whoever sends
it back, in that field or as the cookie `titan_session`, reads its own writes and never anything older than it has seen,
on every instance. A client with several requests under way at once keeps the greatest promise of the tokens it sends.

Not promised: anything across histories. A token of a database that was restored, or whose standby was promoted, cannot
be compared; what it asks for is read from the primary.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from titan.store.contract import NEWEST, RECENT, Need

HEADER = "X-Titan-Session"
COOKIE = "titan_session"

_TOKEN = re.compile(r"([0-9a-z]{1,32})\.([0-9a-f]{1,16})")
_COOKIE = re.compile(rf"(?:^|[;,]\s*){COOKIE}=([0-9a-z.]{{3,49}})(?=$|[;,\s])")
_NO_CACHE = re.compile(r"(?:^|,)\s*(?:no-cache|no-store|max-age=0)\s*(?:,|$)", re.IGNORECASE)


class Token(NamedTuple):
    """What a session has seen."""

    history: str
    mark: int

    def __str__(self) -> str:
        return f"{self.history}.{self.mark:x}"


@dataclass(frozen=True, slots=True)
class Session:
    """What a request says of how new its answer must be."""

    token: Token | None = None
    is_cookie: bool = False
    """True where the client keeps the token as a cookie, or could: it sent no header."""
    wants_newest: bool = False

    def need(self, history: str) -> Need:
        """Return what a read must show, on a store of that history."""
        if self.wants_newest:
            return NEWEST
        if self.token is None:
            return RECENT
        return Need(is_newest=False, mark=self.token.mark) if self.token.history == history else NEWEST

    def headers(self, history: str, mark: int) -> tuple[tuple[str, str], ...]:
        """Return the fields of an answer that showed `mark`."""
        if self.token is not None and self.token.history == history:
            mark = max(mark, self.token.mark)
        if not history:  # nothing is known of the store yet: what was sent stays as good as it was
            return () if self.token is None else ((HEADER, str(self.token)),)
        token = str(Token(history, mark))
        if not self.is_cookie or (self.token is not None and token == str(self.token)):
            return ((HEADER, token),)
        return ((HEADER, token), ("Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"))


class MalformedToken(NamedTuple):
    """Why a request's token is none."""

    reason: str


def read_session(headers: Mapping[str, str]) -> Session | MalformedToken:
    """Read a request's fields. A cookie that is no token is nobody's fault by now and counts as none."""
    cache_control = headers.get("cache-control")
    wants_newest = cache_control is not None and _NO_CACHE.search(cache_control) is not None
    given = headers.get("x-titan-session")
    if given is not None:
        token = _token(given)
        if token is None:
            return MalformedToken(f"{HEADER} must be what an answer gave, such as 3f0c9a1be2d47788.2f3a")
        return Session(token, wants_newest=wants_newest)
    cookie = _COOKIE.search(headers.get("cookie", ""))
    return Session(None if cookie is None else _token(cookie[1]), is_cookie=True, wants_newest=wants_newest)


def _token(text: str) -> Token | None:
    match = _TOKEN.fullmatch(text)
    return None if match is None else Token(match[1], int(match[2], 16))
