"""From a raw request target to an operation: the table as a tree of path segments, walked once per request.

Quart's own router is not asked: it works on decoded paths, in which an encoded slash can no longer be told from a
separator, and costs more than the whole of this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from titan.api.operation import Operation


@dataclass(frozen=True, slots=True)
class Found:
    """An operation and the parameters of its path: percent-decoded once, identifiers still base64url."""

    operation: Operation
    path: Mapping[str, str]
    base: str


@dataclass(frozen=True, slots=True)
class WrongMethod:
    """The path exists, not with this method."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BadPath:
    """No path at all: wrong escapes, dot segments, control characters."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No operation has this path."""


Match = Found | WrongMethod | BadPath | Unknown


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    operations: dict[str, tuple[Operation, tuple[str, ...], str]] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()

    def child(self, segment: str) -> "_Node":
        if segment.startswith("{"):
            self.parameter = self.parameter or _Node()
            return self.parameter
        return self.literal.setdefault(segment, _Node())


class Router:
    """All operations under every mount; immutable once made."""

    def __init__(self, table: Iterable[Operation], mounts: Sequence[str]) -> None:
        """Raise ValueError where two operations have the same method and path."""
        self._root = _Node()
        operations = tuple(table)
        for mount in mounts:
            for operation in operations:
                self._add(mount, operation)

    def _add(self, mount: str, operation: Operation) -> None:
        segments = (mount + operation.path).split("/")[1:]
        node = self._root
        for segment in segments:
            node = node.child(segment)
        if operation.method in node.operations:
            raise ValueError(f"{operation.operation_id}: {operation.method} {operation.path} is there twice")
        names = tuple(segment[1:-1] for segment in segments if segment.startswith("{"))
        node.operations[operation.method] = (operation, names, mount)
        node.allowed = allowed_methods(node.operations)

    def match(self, method: str, raw_path: bytes) -> Match:
        """Find the operation; HEAD finds what GET finds. A literal segment wins over a parameter."""
        segments = path_segments(raw_path)
        if isinstance(segments, BadPath):
            return segments
        node: _Node | None = self._root
        values: list[str] = []
        for segment in segments:
            assert node is not None
            next_node = node.literal.get(segment)
            if next_node is None:
                next_node = node.parameter if segment else None
                values.append(segment)
            if next_node is None:
                return Unknown()
            node = next_node
        assert node is not None
        if not node.operations:
            return Unknown()
        entry = node.operations.get("GET" if method == "HEAD" else method)
        if entry is None:
            return WrongMethod(node.allowed)
        operation, names, base = entry
        return Found(operation, dict(zip(names, values, strict=True)), base)


def allowed_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """Return what `Allow` lists for a path with these methods."""
    found = {*methods, "OPTIONS"}
    if "GET" in found:
        found.add("HEAD")
    return tuple(sorted(found))


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
