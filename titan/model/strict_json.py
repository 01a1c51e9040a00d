"""Hostile JSON to Python values: what cannot be kept exactly is refused, with its place.

Refused beyond RFC 8259's own rules: nesting deeper than a limit, a member name given twice in one object, integers
beyond 64 bits, numbers beyond a double, NUL characters, lone surrogates, a byte order mark. How many bytes may come is
the transport's business. Nothing here recurses on the input's nesting, so none can exhaust the stack.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from titan.model.paths import find

MAX_DEPTH = 64
"""Default nesting limit (interfaces: limits); objects and arrays count, the outermost is level 1."""

_LOCATE_MAX_BYTES = 1 << 20
"""Above this a fault is named without its path: finding it costs a second parse and a walk of the whole document."""

_MAX_CONTAINERS = 500_000
"""Objects and arrays in one text: five times what submodel elements of 8 MiB have. Millions of empty ones would
hold the interpreter for a third of a second."""

_MANY = 32
"""Members from which on it pays to look at their types as a set before looking at each."""

_TWICE = "a member is given twice in one object"
_NUL = b"\\u0000"
_LONG_DIGITS = re.compile(rb"[0-9]{19}")  # no integer beyond 64 bits has fewer
_ESCAPED_COLON = re.compile(rb"\\u003[aA]")


@dataclass(frozen=True, slots=True)
class JsonError:
    """Why a text is refused; `place` is a line and column or a path such as `a[0].b`, '' for the text as a whole."""

    reason: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.reason} at {self.place}" if self.place else self.reason


def parse(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Any | JsonError:
    """Return the value of a JSON text, or why it is refused."""
    if len(raw) > _LOCATE_MAX_BYTES and raw.count(b"{") + raw.count(b"[") > _MAX_CONTAINERS:
        return JsonError(f"the JSON has more than {_MAX_CONTAINERS} objects and arrays")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _syntax_error(raw, error, max_depth)
    fault = _kept_exactly(raw, value, max_depth)
    return value if fault is None else fault


def _syntax_error(raw: bytes, error: orjson.JSONDecodeError, max_depth: int) -> JsonError:
    try:
        raw.decode()
    except UnicodeDecodeError as utf8:
        return JsonError("the body is not UTF-8", f"byte {utf8.start}")
    if raw.startswith(b"\xef\xbb\xbf"):
        return JsonError("the body begins with a byte order mark")
    if "depth" in error.msg:
        return JsonError(f"the JSON is nested deeper than {max_depth} levels")
    return JsonError(f"the body is not JSON: {error.msg}", f"line {error.lineno} column {error.colno}")


def _kept_exactly(raw: bytes, value: Any, max_depth: int) -> JsonError | None:
    """Find what the parser let pass; None where the value is the text, nothing lost."""
    depth, has_float = _shape(value, max_depth)
    if depth > max_depth:
        return JsonError(f"the JSON is nested deeper than {max_depth} levels")
    canonical = orjson.dumps(value)
    if _NUL in canonical and _NUL in canonical.replace(rb"\\", b""):  # a text of backslash, u, 0000 is none
        place = find(value, _has_nul) if len(raw) <= _LOCATE_MAX_BYTES else ""
        return JsonError("a NUL character cannot be stored", place or "")
    # A member dropped as a duplicate took at least one colon with it. Nothing else changes the number of colons between
    # the text and its canonical form but one written as an escape. Doubles may have been integers beyond 64 bits.
    escaped = _ESCAPED_COLON.search(raw) is not None
    doubled = canonical.count(b":") != raw.count(b":")
    if doubled and not escaped and len(raw) > _LOCATE_MAX_BYTES:
        return JsonError(_TWICE)
    long_integer = has_float and _LONG_DIGITS.search(raw) is not None
    return _exact_error(raw) if long_integer or doubled or escaped else None


def _shape(value: Any, max_depth: int) -> tuple[int, bool]:
    """Return the depth, counted up to one beyond the limit, and whether a double was seen; level by level."""
    depth, has_float = 0, isinstance(value, float)
    level = [value] if isinstance(value, dict | list) else []
    while level and depth <= max_depth:
        depth += 1
        below: list[Any] = []
        for container in level:
            members = container.values() if type(container) is dict else container
            if len(members) > _MANY:
                kinds = set(map(type, members))
                has_float = has_float or float in kinds
                if dict not in kinds and list not in kinds:
                    continue
            for child in members:
                kind = type(child)
                if kind is dict or kind is list:
                    below.append(child)
                elif kind is float:
                    has_float = True
        level = below
    return depth, has_float


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in name for name in value)
    return isinstance(value, str) and "\0" in value


class _Twice(dict[str, Any]):
    """An object with a member given twice."""


class _Beyond(str):
    """An integer beyond 64 bits, as text."""

    __slots__ = ()


class _Found(Exception):
    """Ends the slow parse at the first fault of a text too large to look for its path."""


def _exact_error(raw: bytes) -> JsonError | None:
    """Parse again with the slow parser, which shows every member and every digit."""
    reasons: list[str] = []

    def found(reason: str) -> None:
        reasons.append(reason)
        if len(raw) > _LOCATE_MAX_BYTES:
            raise _Found

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(members)
        if len(value) == len(members):
            return value
        found(f"the member {_repeated(members)[:64]!r} is given twice in one object")
        return _Twice(value)

    def integer(digits: str) -> int | _Beyond:
        if len(digits) <= 20 and -(1 << 63) <= int(digits) < 1 << 64:
            return int(digits)
        found("an integer beyond 64 bits cannot be kept")
        return _Beyond(digits)

    try:
        value = json.loads(raw, object_pairs_hook=pairs, parse_int=integer)
    except _Found:
        return JsonError(reasons[0])
    except RecursionError:
        # What is deeper than the visible value, whose depth is known to be fine, was dropped as a duplicate.
        return JsonError(_TWICE)
    if not reasons:
        return None
    return JsonError(reasons[0], find(value, lambda item: isinstance(item, _Twice | _Beyond)) or "")


def _repeated(members: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("no member is repeated")
