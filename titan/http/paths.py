"""From a raw request target to path segments: split first, decoded once after, so that `%2F` stays in its segment."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes


@dataclass(frozen=True, slots=True)
class BadPath:
    """No path at all: wrong escapes, dot segments, control characters."""

    reason: str


class Mounts:
    """Where the API can be reached: every prefix gives the same API."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        by_depth = sorted(prefixes, key=lambda prefix: -prefix.count("/"))
        self._prefixes = tuple((prefix, prefix.split("/")[1:]) for prefix in by_depth)

    def split(self, segments: list[str]) -> tuple[str, list[str]] | None:
        """Return the longest prefix of a path and the segments below it; None where the path is under none."""
        for prefix, head in self._prefixes:
            if segments[: len(head)] == head:
                return prefix, segments[len(head) :]
        return None


def path_segments(raw_path: bytes) -> list[str] | BadPath:
    """Split first, decode once after: `%2F` stays inside its segment."""
    path = origin_form(raw_path)
    if not path.startswith(b"/"):
        return BadPath("The request target is no path.")
    segments = []
    for part in path[1:].split(b"/"):
        segment = _decode(part) if b"%" in part else part.decode("ascii")
        if segment is None:
            return BadPath("The path holds a wrong percent-encoding or control characters.")
        if segment in (".", ".."):
            return BadPath("The path holds a dot segment.")
        segments.append(segment)
    return segments


def origin_form(raw_path: bytes) -> bytes:
    """Return the path of a target in absolute form too, which a server must take (RFC 9112, 3.2.2)."""
    if raw_path.startswith(b"/"):
        return raw_path
    scheme, separator, rest = raw_path.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return raw_path
    _, slash, path = rest.partition(b"/")
    return slash + path or b"/"


def query_fields(raw: bytes) -> tuple[tuple[str, str], ...] | None:
    """Return the fields of a query in order, percent-decoded; None where it is not UTF-8 or has more than 1000."""
    if not raw:
        return ()
    try:
        return tuple(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000))
    except ValueError:
        return None


def _decode(part: bytes) -> str | None:
    pieces = part.split(b"%")[1:]
    if not all(len(piece) >= 2 and _is_hex(piece[:2]) for piece in pieces):
        return None
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return None
    return None if any(character < " " or character == "\x7f" for character in text) else text


def _is_hex(digits: bytes) -> bool:
    return all(digit in b"0123456789abcdefABCDEF" for digit in digits)
