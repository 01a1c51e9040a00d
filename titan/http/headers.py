"""What is read from a request's headers by the transport itself, and what every answer carries."""

import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

RawHeaders = list[tuple[bytes, bytes]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""128 characters: the most that a Result's `correlationId` takes."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")

_TIMING = re.compile(r"(?:^|,)\s*server-timing\s*(?:[,;=]|$)")

STANDARD: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
"""What every answer carries unless it says otherwise itself.

`no-cache`: an entity tag without it would let any cache on the way guess how long the answer may be reused."""

TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=31536000")


def as_mapping(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones are joined with ', ' (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def request_id(headers: Mapping[str, str]) -> str:
    """Return the client's `X-Request-ID` if it is fit for logs and answers, else a new one."""
    given = headers.get("x-request-id")
    return given if given is not None and _REQUEST_ID.fullmatch(given) else new_request_id()


def new_request_id() -> str:
    """Return 128 random bits."""
    return os.urandom(16).hex()


def asks_for_timing(headers: Mapping[str, str]) -> bool:
    """Say whether the client asked for `Server-Timing`, by `Prefer: server-timing` (RFC 7240)."""
    prefer = headers.get("prefer")
    return prefer is not None and _TIMING.search(prefer.lower()) is not None


def traceparent(headers: Mapping[str, str]) -> str | None:
    """Return the W3C trace context if it is well-formed."""
    given = headers.get("traceparent")
    return given if given is not None and len(given) <= 256 and _TRACEPARENT.fullmatch(given) else None


def client_address(peer: str, headers: Mapping[str, str], trusted: tuple[IPv4Network | IPv6Network, ...]) -> str:
    """Return the nearest address in `X-Forwarded-For` that is no trusted proxy; the peer's own if that is not trusted.

    Read from the right: what stands left of the first address that no trusted proxy vouches for is the client's word.
    """
    address = peer
    if not trusted:
        return address
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    while hops and _is_trusted(address, trusted):
        nearer = hops.pop()
        if not _is_address(nearer):
            break
        address = nearer
    return address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str, trusted: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in trusted)
