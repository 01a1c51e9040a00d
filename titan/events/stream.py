"""One client's stream: from its cursor through the store until it has caught up, then along with the hub.

How no event is missed in between: the stream takes its place at the hub first, then reads from the store until there
is no more; what the hub hands out meanwhile waits. A change that waits and was read as well is told once.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import trio

from titan.events.cloudevent import Event
from titan.events.hub import Hub, Subscription, Wants
from titan.store.contract import Change, Changes, ChangesGone, Store, StoreUnavailable

HEARTBEAT_S = 15.0
"""The longest silence on a stream (interfaces)."""

NEWS_BYTES = 64 * 1024
"""About how much is handed to a transport at once."""

PAGE = 200
"""Changes that are read from the store at once."""

SLICE = 16
"""Of them, how many get their contents at once."""

READ_S = 1.5
"""How long a read may take."""

OLDEST = "oldest"
"""The cursor before everything that is kept."""

AWAY_S = 0.5
"""How long a stream waits before it asks a store again that could not serve."""

READERS = 4
"""Streams that read from the store at one time: an instance's connections are for its requests first."""


class EndReason(StrEnum):
    """Why the server ends a stream; in each case the client goes on from the cursor it is given."""

    LEAVING = "leaving"  # the server stops: another instance, or this one a moment later, goes on
    SLOW = "slow"  # more waited for the client than is kept
    GONE = "gone"  # what follows the cursor cannot be told any more: the next attempt gets 410


@dataclass(frozen=True, slots=True)
class News:
    """What comes next; without events it says that the stream lives, and how far it has got."""

    events: list[Event]
    cursor: str


@dataclass(frozen=True, slots=True)
class End:
    """Nothing comes any more."""

    reason: EndReason
    cursor: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No stream is opened."""

    status: int
    text: str


GONE_TEXT = (
    "what follows this cursor cannot be told any more: it is too old, or of another database (a restore, a fail-over). "
    "Read the documents anew, then follow the events from the cursor that a request without one gives"
)
FULL_TEXT = "as many clients follow events as this instance takes; another instance may have room"
CLOSED_TEXT = "events cannot be served now"


class Streams:
    """Opens streams and counts them."""

    def __init__(self, store: Store, hub: Hub, *, max_clients: int, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.hub = hub
        self.heartbeat_s = heartbeat_s
        self.clients = 0
        """How many streams are open."""
        self.sent = 0
        """Events handed to transports."""
        self.dropped = 0
        """Streams that were ended because their clients took too little."""
        self._store = store
        self._max_clients = max_clients
        self._readers = trio.CapacityLimiter(READERS)

    async def open(self, wants: Wants, cursor: str | None) -> "Stream | Refused":
        """Return a stream of what is wanted behind a cursor, without one from now on; the caller owes it a `close`.

        Raises `StoreUnavailable` where what follows the cursor cannot be read now.
        """
        if not self.hub.is_open:
            return Refused(503, CLOSED_TEXT)
        if self.clients >= self._max_clients:
            return Refused(503, FULL_TEXT)
        stream = Stream(self, wants)
        try:
            is_kept = await stream.begin(cursor)
        except BaseException:
            stream.close()
            raise
        if is_kept:
            return stream
        stream.close()
        return Refused(410, GONE_TEXT)

    def note_dropped(self) -> None:
        """Count a stream that is to be ended because its client takes too little."""
        self.dropped += 1

    async def read(self, cursor: str) -> Changes | ChangesGone:
        """Read changes from the store. Raises `StoreUnavailable`, also where it takes too long."""
        after = None if cursor == OLDEST else cursor
        try:
            with trio.fail_after(READ_S):
                async with self._readers:
                    return await self._store.changes(after=after, limit=PAGE)
        except trio.TooSlowError:
            raise StoreUnavailable("the store did not answer in time") from None


class Stream:
    """Asked for what comes `next`, again and again, by one task; see the module."""

    def __init__(self, streams: Streams, wants: Wants) -> None:
        self._streams = streams
        self._hub = streams.hub
        self._wants = wants
        self._place: Subscription | None = None
        self._place_shows = 0  # what had been handed out when it was taken
        self._unsent: deque[Change] = deque()  # read from the store
        self._behind = ""  # where the next read from the store begins
        self._told: set[int] = set()  # revisions that were read and are handed out as well, later or already waiting
        self._told_mark = 0  # the greatest mark of what was read
        self._has_caught_up = False
        self._is_closed = False
        self._cursor = ""
        streams.clients += 1

    async def begin(self, cursor: str | None) -> bool:
        """Find the beginning; False where what follows the cursor cannot be told."""
        self._join()
        if cursor is None:
            assert self._hub.cursor is not None
            self._cursor = self._hub.cursor
            self._set_caught_up()
            return True
        self._cursor = self._behind = cursor
        return await self._read()

    def close(self) -> None:
        """End it; whatever waits is dropped."""
        if not self._is_closed:
            self._is_closed = True
            self._streams.clients -= 1
            self._leave()

    @property
    def is_idle(self) -> bool:
        """True while everything was told that this instance knows of."""
        place = self._place
        return self._has_caught_up and not self._unsent and place is not None and place.is_idle

    @property
    def cursor(self) -> str:
        """Return where the client is: behind what was told, and behind what came after that was not wanted."""
        if self.is_idle and self._told_mark <= self._hub.shows and self._hub.cursor is not None:
            return self._hub.cursor
        return self._cursor

    async def next(self) -> News | End:
        """Return what comes next; after a heartbeat's time without events, news without any.

        So it does at once where all that waited had been told before.

        Cancelled, nothing is lost: the next call tells it. After an `End` there is nothing to ask for.
        """
        with trio.move_on_after(self._streams.heartbeat_s):
            while True:
                told = await self._step()
                if told is not None:
                    return told
        return News([], self.cursor)

    async def _step(self) -> News | End | None:
        if not self._hub.is_open:
            return End(EndReason.LEAVING, self.cursor)
        if self._unsent:
            return await self._tell()
        if self._has_caught_up:
            return await self._along()
        return await self._read_on()

    # From the store.

    async def _read_on(self) -> End | None:
        if self._place is not None and self._place.has_lost_place:
            self._leave()  # far behind: it is taken again at the end
        try:
            is_kept = await self._read()
        except StoreUnavailable:
            await trio.sleep(AWAY_S)
            return None
        return None if is_kept else End(EndReason.GONE, self.cursor)

    async def _read(self) -> bool:
        page = await self._streams.read(self._behind)
        if isinstance(page, ChangesGone):
            return False
        self._behind = page.cursor
        self._told_mark = max([self._told_mark, *(change.mark for change in page.items)])
        self._unsent.extend(change for change in page.items if self._wants(change))
        if self._place is not None and not self._place.has_lost_place:
            self._told.update(change.revision for change in page.items if change.mark > self._place_shows)
            if page.is_last:
                self._set_caught_up()
        elif page.is_last:  # almost: what comes from now on waits, and what came until now is read
            self._leave()
            self._join()
        if not self._unsent:
            self._cursor = page.cursor
        return True

    async def _tell(self) -> News:
        some = [self._unsent[place] for place in range(min(SLICE, len(self._unsent)))]
        events = await self._hub.events_of(some)
        for _ in some:
            self._unsent.popleft()
        self._cursor = some[-1].cursor if self._unsent else self._behind
        return self._news(events)

    # Along with the hub.

    async def _along(self) -> News | End | None:
        place = self._place
        assert place is not None
        await place.wait()
        taken = place.take(NEWS_BYTES)
        events = [event for event in taken if event.change.revision not in self._told]
        if place.is_empty and self._told_mark <= self._hub.shows:
            self._told.clear()  # all of it has come by
        if events:
            self._cursor = events[-1].cursor
            return self._news(events)
        if taken:  # all of it told before: whoever asked because something waited is not to wait for more
            return self._news([])
        if place.is_too_slow:
            return End(EndReason.SLOW, self.cursor)
        if place.has_lost_place:
            self._leave()
            self._behind = self._cursor
            self._has_caught_up = False
        return None

    def _news(self, events: list[Event]) -> News:
        self._streams.sent += len(events)
        return News(events, self.cursor)

    def _set_caught_up(self) -> None:
        assert self._place is not None
        self._has_caught_up = True
        self._place.on_too_slow = self._streams.note_dropped

    def _join(self) -> None:
        self._place = self._hub.join(self._wants)
        self._place_shows = self._hub.shows

    def _leave(self) -> None:
        if self._place is not None:
            self._hub.leave(self._place)
        self._place = None
        self._told.clear()
