"""Fan-out: what the change feed tells this instance goes to every stream that is open here.

Nobody waits for anybody: the feed hands over and goes on, a stream that does not take what is meant for it loses its
place after `MAX_BACKLOG_BYTES`. Losing one's place is no gap: a stream knows its cursor and can read from the store.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

import trio

from titan.events.cloudevent import Event, make_event, source_of
from titan.events.contents import Contents
from titan.store.contract import Change, Changes, Latest

MAX_BACKLOG_BYTES = 1 << 20
"""What may wait for one stream (interfaces: a slow client is cut at 1 MiB)."""

MAX_PENDING = 10_000
"""Changes that wait for their contents; beyond it every stream reads them from the store, at its own pace."""

SLICE = 32
"""Changes whose contents are read at once; what they take of memory is bounded by it."""

Wants = Callable[[Change], bool]


class Subscription:
    """One stream's place in the fan-out: what waits for it."""

    def __init__(self, wants: Wants) -> None:
        self.wants = wants
        self.has_lost_place = False
        """True: events were passed over since the last one that waits here; this place is of no use any more."""
        self.is_too_slow = False
        """True: its place was lost because too much waited."""
        self.on_too_slow: Callable[[], object] = lambda: None
        """Called then: whoever is behind it may be held up by a client, and learn of it late or never."""
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._news = trio.Event()

    @property
    def is_empty(self) -> bool:
        """True while nothing waits."""
        return not self._events

    @property
    def is_idle(self) -> bool:
        """True while nothing waits and nothing was passed over."""
        return not self._events and not self.has_lost_place

    def offer(self, events: Sequence[Event]) -> None:
        """Keep what is wanted of this."""
        if self.has_lost_place:
            return
        for event in events:
            if self.wants(event.change):
                self._events.append(event)
                self._bytes += len(event.sse)
        if self._bytes > MAX_BACKLOG_BYTES:
            self.is_too_slow = True
            self._events.clear()
            self.lose_place()
            self.on_too_slow()
        elif self._events:
            self._news.set()

    def lose_place(self) -> None:
        """Let the stream know that it has to read from the store."""
        self.has_lost_place = True
        self._news.set()

    def take(self, max_bytes: int) -> list[Event]:
        """Return what waits, in order, up to about that size."""
        taken = []
        size = 0
        while self._events and size < max_bytes:
            event = self._events.popleft()
            size += len(event.sse)
            taken.append(event)
        self._bytes -= size
        return taken

    async def wait(self) -> None:
        """Wait until something waits here, or the place is lost."""
        if self._events or self.has_lost_place:
            await trio.lowlevel.checkpoint()
            return
        self._news = trio.Event()
        await self._news.wait()


class Hub:
    """Told by the change feed (`begin`, `follow`); hands out while `run` runs."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._places: set[Subscription] = set()
        self._pending: deque[Changes] = deque()
        self._pending_changes = 0
        self._news = trio.Event()
        self._life = 0
        self._is_running = False
        self.cursor: str | None = None
        """Behind what was handed out last; None while nothing is known."""
        self.shows = 0
        """Every change up to this mark was handed out."""
        self.source = ""
        """Of every event."""

    @property
    def is_open(self) -> bool:
        """True while streams can be served."""
        return self._is_running and self.cursor is not None

    # Told by the change feed.

    def tell(self, told: Latest | Changes) -> None:
        """Take in what the feed learned; never waits."""
        if isinstance(told, Latest):
            self.begin(told)
        else:
            self.follow(told)

    def begin(self, latest: Latest) -> None:
        """Go on behind the newest change; whatever came before, streams read it from the store."""
        self.source = source_of(latest.installation)
        self._skip_to(latest.cursor, latest.shows)

    def follow(self, changes: Changes) -> None:
        """Take in what happened since."""
        if not self._places or not self._is_running:
            self._skip_to(changes.cursor, changes.shows)
            return
        self._pending.append(changes)
        self._pending_changes += len(changes.items)
        if self._pending_changes > MAX_PENDING:
            self._skip_to(changes.cursor, changes.shows)
        self._news.set()

    def _skip_to(self, cursor: str, shows: int) -> None:
        self._life += 1
        self._pending.clear()
        self._pending_changes = 0
        for place in self._places:
            place.lose_place()
        self._places.clear()
        self.cursor = cursor
        self.shows = shows

    # Used by streams.

    def join(self, wants: Wants) -> Subscription:
        """Take a place: everything that is handed out from now on, behind `cursor`, waits there if it is wanted."""
        place = Subscription(wants)
        self._places.add(place)
        return place

    def leave(self, place: Subscription) -> None:
        """Give a place up."""
        self._places.discard(place)

    # Run by the actor.

    async def run(self) -> NoReturn:
        """Hand out, until cancelled; streams that are open then lose their places."""
        self._is_running = True
        try:
            while True:
                while self._pending:
                    await self._hand_out(self._pending.popleft())
                self._news = trio.Event()
                await self._news.wait()
        finally:
            self._is_running = False
            self._pending.clear()
            for place in self._places:
                place.lose_place()
            self._places.clear()

    async def _hand_out(self, changes: Changes) -> None:
        life = self._life
        self._pending_changes -= len(changes.items)
        for begin in range(0, len(changes.items), SLICE):
            some = changes.items[begin : begin + SLICE]
            events = await self.events_of(some, self._is_wanted)
            if life != self._life:
                return  # everybody has been told to read it from the store meanwhile
            self.cursor = some[-1].cursor
            for place in self._places:
                place.offer(events)
        self.cursor = changes.cursor
        self.shows = max(self.shows, changes.shows)

    def _is_wanted(self, change: Change) -> bool:
        return any(place.wants(change) for place in self._places)

    async def events_of(self, changes: Sequence[Change], wants: Wants | None = None) -> list[Event]:
        """Return the events of some changes; with `wants` contents are read of those that it wants only."""
        wanted = changes if wants is None else [change for change in changes if wants(change)]
        contents = await self._contents.of(wanted)
        return [make_event(change, self.source, contents.get(change.revision)) for change in changes]
