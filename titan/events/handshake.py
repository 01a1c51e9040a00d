"""Whether a request may become a WebSocket (RFC 6455, 4.2), and for whom."""

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

VERSION = "13"
_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Accepted:
    """It may; these headers say so to the client."""

    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """It may not."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


def judge(headers: Mapping[str, str], allowed_origins: Collection[str]) -> Accepted | Refusal:
    """Judge a GET's headers; `allowed_origins` are those of other sites whose pages may follow events.

    Subprotocols and extensions are not for the asking: none is chosen.
    """
    if "websocket" not in _words(headers, "upgrade") or "upgrade" not in _words(headers, "connection"):
        text = "this is a WebSocket: ask with 'Upgrade: websocket'; /events has the same as server-sent events"
        return Refusal(426, text, (("Upgrade", "websocket"), ("Connection", "Upgrade")))
    if headers.get("sec-websocket-version") != VERSION:
        return Refusal(426, f"this speaks version {VERSION} of WebSocket", (("Sec-WebSocket-Version", VERSION),))
    key = headers.get("sec-websocket-key", "")
    if not _is_key(key):
        return Refusal(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    origin = headers.get("origin")
    if origin is not None and origin not in allowed_origins and not _is_own(origin, headers.get("host", "")):
        text = f"pages of the origin {origin[:200]!r} may not follow events here; events.allowed_origins names who may"
        return Refusal(403, text)
    accept = base64.b64encode(hashlib.sha1(key.encode("ascii") + _SALT, usedforsecurity=False).digest()).decode()
    return Accepted((("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)))


def _is_own(origin: str, host: str) -> bool:
    """Say whether a page comes from where it asks, as far as can be seen: who ended TLS on the way is not known."""
    try:
        at, here = urlsplit(origin), urlsplit(f"//{host}")
        default = _PORTS[at.scheme]
        return bool(at.hostname) and (at.hostname, at.port or default) == (here.hostname, here.port or default)
    except (KeyError, ValueError):  # "null", other schemes, ports that are none
        return False


def _words(headers: Mapping[str, str], name: str) -> list[str]:
    return [word.strip().lower() for word in headers.get(name, "").split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
