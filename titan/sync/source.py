"""What is pulled, from where, and how much of it can come at most: values without any behaviour."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from titan.store.contract import Kind, Term

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Filter:
    """Which documents of a source are wanted; an empty one wants them all. All that is given must hold."""

    kinds: tuple[Kind, ...] = tuple(Kind)
    ids: frozenset[str] = frozenset()
    """These documents and no others; empty: whatever the lists show."""
    terms: Mapping[Kind, frozenset[Term]] = field(default_factory=dict)
    """What a document of that kind must carry; looked at here too, since a server may ignore what it does not know."""
    query: Mapping[Kind, Mapping[str, str]] = field(default_factory=dict)
    """The same as query parameters of the kind's list."""

    def wants(self, kind: Kind, document_id: str, terms: frozenset[Term]) -> bool:
        """Say whether a document is within the filter."""
        return (
            kind in self.kinds
            and (not self.ids or document_id in self.ids)
            and self.terms.get(kind, frozenset()) <= terms
        )

    @property
    def is_open(self) -> bool:
        """True where every document of the kinds is wanted."""
        return not self.ids and not any(self.terms.values())


@dataclass(frozen=True, slots=True)
class Source:
    """Another AAS server's repositories."""

    name: str
    """What its records go by; another name is another source."""
    url: str
    """Where `/shells` and the others are, e.g. `https://aas.example.com/api/v3.1`; without a slash at the end."""
    interval_s: float = 300.0
    filter: Filter = Filter()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Credentials, as request headers."""
    ca_file: Path | None = None
    """Whom to believe who the server is (PEM); None: the system's authorities."""

    @property
    def origin(self) -> bytes:
        """Tell whether it is still the same server under this name."""
        return _digest(self.url)

    @property
    def scope(self) -> bytes:
        """Tell whether a page that was to come next still makes sense."""
        wanted = self.filter
        queries = [(kind, sorted(query.items())) for kind, query in sorted(wanted.query.items())]
        return _digest(self.url, repr((wanted.kinds, sorted(wanted.ids), queries)))


@dataclass(frozen=True)
class Limits:
    """Each bounds something that the other server decides."""

    connect_s: float = 5.0
    """Resolving, connecting and TLS, each."""
    read_s: float = 10.0
    """Between two pieces of an answer."""
    total_s: float = 60.0
    """A whole answer, however steadily it drips."""
    page_items: int = 100
    max_page_bytes: int = 32 * MIB
    """A page that is larger is asked for again with fewer documents on it."""
    max_document_bytes: int = 8 * MIB
    max_depth: int = 64
    """Deepest nesting of a document's JSON."""
    max_pages: int = 20_000
    """Of one list in one pull; with full pages two million documents."""
    in_flight: int = 8
    """Documents asked for at one time."""
    failures_in_a_row: int = 5
    """Documents that could not be had one after the other; then the server is at fault, not they."""


def limits_for(*, max_document_bytes: int, max_depth: int) -> Limits:
    """Return the limits for a server that takes documents of that size and depth from its own clients as well."""
    page = max(Limits.max_page_bytes, max_document_bytes + MIB)  # the largest document is a page of its own
    return Limits(max_page_bytes=page, max_document_bytes=max_document_bytes, max_depth=max_depth)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the header of a bearer token (RFC 6750)."""
    return (("Authorization", f"Bearer {token}"),)


def basic(username: str, password: str) -> tuple[tuple[str, str], ...]:
    """Return the header of HTTP's basic authentication (RFC 7617)."""
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return (("Authorization", f"Basic {pair}"),)


def _digest(*parts: str) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.digest()
