"""The actor that asks what changed anywhere, for this instance's caches and events. It never gives up."""

from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

import trio

from supervisors.actors.statement import Statement
from supervisors.kernel import Context
from titan.cache.tail import BOUND_S, Tail
from titan.store.contract import Changes, ChangesGone, Latest, StoreUnavailable
from titan.telemetry.health import Check, Status

POLL_EVERY_S = 0.25
"""Four tries within the bound; a poll is one indexed statement that mostly finds nothing."""

POLL_S = 0.6
"""How long one may take: its answer counts from when it was asked, so a later one is soon too old."""

GAP_S = 0.025
"""Between two polls at least, however many instances write: 40 a second cost 2 % of a core."""

BACKFILL = 5000
"""Changes of before that are read at the start, so that entries of a shared cache can be judged; 10 ms of the loop."""

AT_ONCE = 1000


class Feed(Protocol):
    """What of a store is followed (`titan.store.contract.Store`)."""

    async def changes(self, *, after: str | None = None, limit: int = 1000) -> Changes | ChangesGone:
        """Return committed changes behind a cursor."""
        ...

    async def latest(self, limit: int) -> Latest:
        """Return the newest changes and the cursor behind them."""
        ...


Listen = Callable[[Callable[[], object]], Awaitable[NoReturn]]
"""Calls what it is given whenever it hears that something changed, until cancelled."""


OnChanges = Callable[[Latest | Changes], object]
"""Told everything that is learned: `Latest` says that what was told before is no beginning of what follows."""


class ChangeFeedActor:
    """Polls the outbox on the primary, sooner when `poke` is called; a store that is away is a state.

    *Started* once the first state is known. Caches are passed by while the feed is behind (`Tail.is_fresh`).
    """

    def __init__(
        self,
        store: Feed,
        tail: Tail,
        check: Check,
        *,
        listen: Listen | None = None,
        backfill: int = BACKFILL,
        poll_every_s: float = POLL_EVERY_S,
        poll_s: float = POLL_S,
    ) -> None:
        """`listen` calls back when an instance says that something changed; it may miss any."""
        self._store = store
        self._tail = tail
        self._statement = Statement(check)
        self.on_changes: OnChanges = lambda _: None
        self._listen = listen
        self._backfill = backfill
        self._poll_every_s = poll_every_s
        self._poll_s = poll_s
        self._cursor: str | None = None
        self._poked = trio.Event()

    def poke(self) -> None:
        """Ask now: something changed, somebody said."""
        self._poked.set()

    async def run(self, ctx: Context) -> None:
        """Be the actor, until cancelled."""
        self._statement.begin(ctx)
        self._cursor = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            if self._listen is not None:
                nursery.start_soon(self._listen, self.poke)

    async def _follow(self) -> NoReturn:
        while True:
            self._poked = trio.Event()  # before asking: what is said from now on may not be in the answer
            if await self._poll():
                continue
            with trio.move_on_after(self._poll_every_s):
                await trio.sleep(GAP_S)
                await self._poked.wait()

    async def _poll(self) -> bool:
        """Ask once; True where there is more to ask for."""
        try:
            with trio.fail_after(self._poll_s):
                is_last, is_more = await self._ask()
        except StoreUnavailable as away:
            self._behind(away.reason)
        except trio.TooSlowError:
            self._behind(f"no answer in {self._poll_s:g} s")
        else:
            if is_last:
                self._statement.say(Status.UP, "")
            return is_more
        return False

    async def _ask(self) -> tuple[bool, bool]:
        """Return whether all is known now, and whether more can be had at once."""
        asked_at = self._tail.now()
        if self._cursor is None:
            latest = await self._store.latest(self._backfill)
            self._tail.begin(latest, asked_at)
            self.on_changes(latest)
            self._cursor = latest.cursor
            return True, False
        match await self._store.changes(after=self._cursor, limit=AT_ONCE):
            case Changes() as changes:
                self._tail.follow(changes, asked_at)
                self.on_changes(changes)
                self._cursor = changes.cursor
                return changes.is_last, bool(changes.items) and not changes.is_last
            case ChangesGone():
                self._cursor = None
                return False, True

    def _behind(self, reason: str) -> None:
        if not self._tail.is_fresh:
            self._statement.say(
                Status.DEGRADED, f"changes are not known for {BOUND_S:g} s, caches are passed by: {reason}"
            )
