"""One change as a CloudEvent 1.0 in JSON; `titan.events.schema` describes it for programs."""

from datetime import UTC, datetime

import orjson

from titan.events.socket import text_frame
from titan.store.contract import Change, ChangeType, Kind

PREFIX = "io.titan-aas."
CONTENT_TYPE = "application/json"

ELEMENT = "submodel-element"
"""What the type says of an element's change, beside the kinds of documents."""

TYPES = tuple(f"{PREFIX}{kind}.{change}" for kind in (*Kind, ELEMENT) for change in ChangeType)
"""Every type that an event can have."""

_TYPE_OF = {(kind, change): f"{PREFIX}{kind}.{change}" for kind in Kind for change in ChangeType}


class Event:
    """A change with its content, encoded once for all who get it."""

    __slots__ = ("_frame", "_sse", "change", "json")

    def __init__(self, change: Change, json: bytes) -> None:
        self.change = change
        self.json = json
        """The CloudEvent on one line."""
        self._sse: bytes | None = None
        self._frame: bytes | None = None

    @property
    def cursor(self) -> str:
        """What a client comes back with to go on behind it."""
        return self.change.cursor

    @property
    def sse(self) -> bytes:
        """The same as an event of a `text/event-stream`."""
        if self._sse is None:
            self._sse = b"id: %b\ndata: %b\n\n" % (self.cursor.encode("ascii"), self.json)
        return self._sse

    @property
    def frame(self) -> bytes:
        """The same as a message of a WebSocket."""
        if self._frame is None:
            self._frame = text_frame(self.json)
        return self._frame


def type_of(change: Change) -> str:
    """Return the CloudEvent's type."""
    return _TYPE_OF[change.kind, change.type]


def source_of(installation: str) -> str:
    """Return the CloudEvent's source: the same for every event of every instance over one database."""
    return f"urn:titan-aas:{installation}"


def make_event(change: Change, source: str, data: bytes | None) -> Event:
    """Encode a change; `data` is the document's content at that revision, None where it is not to be had."""
    head = {
        "specversion": "1.0",
        # Revisions are the database's own, so this is the same on every instance. The time tells two changes apart
        # that had one revision, where a fail-over lost the first of them.
        "id": f"{change.revision}-{change.modified_ms:x}",
        "source": source,
        "type": type_of(change),
        "subject": change.id,
        "time": _time(change.modified_ms),
        "cursor": change.cursor,
        "revision": str(change.revision),  # CloudEvents' integers end at 31 bits
    }
    if data is None:
        return Event(change, orjson.dumps(head))
    head["datacontenttype"] = CONTENT_TYPE
    return Event(change, b'%b,"data":%b}' % (orjson.dumps(head)[:-1], _on_one_line(data)))


def _time(modified_ms: int) -> str:
    seconds, ms = divmod(modified_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03}Z"


def _on_one_line(data: bytes) -> bytes:
    # In JSON a line break can only stand between tokens. Stored content has none; a stream must not depend on that.
    return data.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in data or b"\r" in data else data
