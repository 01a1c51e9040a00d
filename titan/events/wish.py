"""What a client asks of the events, on either transport: from where on, and which of them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from titan.events.cloudevent import TYPES
from titan.events.filters import EVERYTHING, Filter
from titan.model.identifiers import InvalidIdentifier, decode_identifier

MAX_CURSOR = 200
MAX_WAIT_S = 60
MAX_VALUES = 100
"""How often one filter may be given."""

_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)
_CURSOR = re.compile(rf"[\x21-\x7e]{{1,{MAX_CURSOR}}}", re.ASCII)
_ID_SHORT_PATH = re.compile(
    r"[A-Za-z0-9_-]{1,128}(\[[0-9]{1,9}\])*(\.[A-Za-z0-9_-]{1,128}(\[[0-9]{1,9}\])*)*", re.ASCII
)
_MAX_PATH = 4096


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    cursor: str | None = None
    """None: from now on."""
    chosen: Filter = EVERYTHING
    wait_s: int | None = None
    """How long to wait for the first event of a page; None: the events are to be streamed."""
    limit: int | None = None
    """Most events of a page."""


@dataclass(slots=True)
class _Draft:
    max_limit: int
    cursor: str | None = None
    wait_s: int | None = None
    limit: int | None = None
    types: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)


def read_wish(
    query: Iterable[tuple[str, str]], headers: Mapping[str, str], *, max_limit: int | None = None
) -> Wish | list[str]:
    """Read a request's query and `Last-Event-ID`, or say everything that is wrong with them.

    `max_limit`: the most events of a page; None where there are no pages, but streams only.
    """
    draft = _Draft(max_limit or 0)
    readers = READERS if max_limit is None else READERS | PAGE_READERS
    faults = []
    seen: set[str] = set()
    for name, text in query:
        if name not in readers:
            faults.append(f"unknown query parameter {name[:64]!r}; known are {', '.join(readers)}")
        elif name in seen and name not in _REPEATABLE:
            faults.append(f"query parameter {name!r} is given more than once")
        elif (fault := readers[name](draft, text)) is not None:
            faults.append(f"query parameter {name!r} {fault}")
        seen.add(name)
    if draft.limit is not None and draft.wait_s is None:
        faults.append("query parameter 'limit' is for pages: give 'wait' as well")
    # A client that comes back by itself sends the address it was given at first and where it has got to since.
    last = headers.get("last-event-id")
    if last and (fault := _cursor(draft, last)) is not None:
        faults.append(f"Last-Event-ID {fault}")
    if faults:
        return list(dict.fromkeys(faults))
    chosen = Filter(frozenset(draft.types), frozenset(draft.ids), frozenset(draft.paths))
    return Wish(draft.cursor, chosen, draft.wait_s, draft.limit)


def _cursor(draft: _Draft, text: str) -> str | None:
    if not _CURSOR.fullmatch(text):
        return "must be the cursor of an event, or 'oldest'"
    draft.cursor = text
    return None


def _type(draft: _Draft, text: str) -> str | None:
    if text not in TYPES:
        return f"must be one of {', '.join(TYPES)}"
    return _keep(draft.types, text)


def _id(draft: _Draft, text: str) -> str | None:
    value = decode_identifier(text)
    if isinstance(value, InvalidIdentifier):
        return f"{value.reason}; it takes identifiers in base64url, as paths do"
    return _keep(draft.ids, value)


def _path(draft: _Draft, text: str) -> str | None:
    if len(text) > _MAX_PATH or not _ID_SHORT_PATH.fullmatch(text):
        return "must be an idShortPath such as Motor.Bearings[2].Temperature"
    return _keep(draft.paths, text)


def _keep(values: set[str], value: str) -> str | None:
    values.add(value)
    return None if len(values) <= MAX_VALUES else f"is given more than {MAX_VALUES} times"


def _wait(draft: _Draft, text: str) -> str | None:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_WAIT_S:
        return f"must be a number of seconds from 0 to {MAX_WAIT_S}"
    draft.wait_s = int(text)
    return None


def _limit(draft: _Draft, text: str) -> str | None:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= draft.max_limit:
        return f"must be a number from 1 to {draft.max_limit}"
    draft.limit = int(text)
    return None


_Reader = Callable[[_Draft, str], str | None]
READERS: dict[str, _Reader] = {"cursor": _cursor, "type": _type, "id": _id, "idShortPath": _path}
PAGE_READERS: dict[str, _Reader] = {"wait": _wait, "limit": _limit}
_REPEATABLE = frozenset({"type", "id", "idShortPath"})
