"""The pool: at most so many connections, a queue that is bounded in length and time, no connection that is in doubt.

Why not the driver's own: its queue knows no bound, it waits for a new connection while others come free, and it hands
out again what its reset query repaired. Here a caller that finds everything busy waits `queue_s` and is then told so,
the first come first served; a connection in doubt is proven to be well, aside, before anyone gets it.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

from titan.store.contract import StoreUnavailable
from titan.store.postgres.errors import DRIVER_ERRORS, Saturated, Unreachable
from titan.store.postgres.limits import Limits
from titan.store.postgres.session import Session

REFUSED_PAUSE_S = 1.0
"""How long no further connection is tried after one was refused while others work, as at `max_connections`."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """The pool at one moment."""

    limit: int
    open: int
    in_use: int
    waiting: int

    @property
    def available(self) -> int:
        """How many more callers could be served at once (`pg_pool_available_connections`)."""
        return self.limit - self.in_use


class Pool:
    """Lives on the island, used by its loop only, until it is closed for good."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Session]],
        limits: Limits,
        *,
        observe_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.refused: str | None = None
        """Why the newest attempt to open a connection failed; None where it did not."""
        self._connect = connect
        self._limits = limits
        self._observe_wait = observe_wait
        self._idle: list[Session] = []
        self._taken: set[Session] = set()
        self._opening = 0
        self._queue: deque[asyncio.Future[Session | None]] = deque()
        self._asides: set[asyncio.Task[None]] = set()
        self._closed_because: str | None = None
        self._no_new_one_before = 0.0

    @property
    def statistics(self) -> PoolStatistics:
        """What it holds now."""
        in_use = len(self._taken) + self._opening
        return PoolStatistics(self._limits.pool_size, in_use + len(self._idle), in_use, len(self._queue))

    # --- life ---

    def close(self, reason: str) -> None:
        """Drop every connection, used ones too, and fail who waits or comes with `reason`."""
        self._closed_because = reason
        for session in [*self._idle, *self._taken]:
            session.drop()
        self._idle.clear()
        while self._hand(None):
            pass

    async def grow(self, to: int) -> None:
        """Have so many connections open, as far as they can be had."""
        while self.statistics.open < min(to, self._limits.pool_size):
            session = await self._new_one()
            if session is None:
                return
            self._give_back(session)

    def sweep(self) -> None:
        """Close idle connections that are past their age."""
        now = time.monotonic()
        old = [session for session in self._idle if session.is_closed or session.expires_at <= now]
        for session in old:
            self._idle.remove(session)
            self._aside(session.close(self._limits.recover_s))

    # --- use ---

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a session. Raises `StoreUnavailable` (`Saturated` where all are busy) or `Unreachable`."""
        session = await self._take()
        try:
            yield session
        except BaseException:
            self._aside(self._recover(session))
            raise
        self._give_back(session)

    async def _take(self) -> Session:
        begun = time.monotonic()
        # Also where others are in line: if there is room to open one, nobody else may be about to.
        session = self._idle_one() or await self._new_one()
        while session is None:
            session = await self._in_line(begun + self._limits.queue_s) or self._idle_one() or await self._new_one()
        self._observe_wait(time.monotonic() - begun)
        return session

    def _idle_one(self) -> Session | None:
        self._refuse_if_closed()
        now = time.monotonic()
        while self._idle:
            session = self._idle.pop()  # the last one used: the others may grow old and go
            if not session.is_closed and session.expires_at > now:
                self._taken.add(session)
                return session
            self._aside(session.close(self._limits.recover_s))
        return None

    async def _new_one(self) -> Session | None:
        """Open a connection; None where there may be no more, or no more can be had and there are others."""
        if len(self._taken) + self._opening >= self._limits.pool_size:
            return None
        if time.monotonic() < self._no_new_one_before and (self._taken or self._idle):
            return None
        self._opening += 1
        try:
            session = await self._connect()
        except Unreachable as error:
            self.refused = error.reason
            if not (self._taken or self._idle):
                raise
            self._no_new_one_before = time.monotonic() + REFUSED_PAUSE_S
            return None
        finally:
            self._opening -= 1
        self.refused = None
        self._taken.add(session)
        if self._closed_because is not None:
            self._give_back(session)
            self._refuse_if_closed()
        return session

    def _refuse_if_closed(self) -> None:
        if self._closed_because is not None:
            raise StoreUnavailable(f"the database is unavailable: {self._closed_because}")

    async def _in_line(self, until: float) -> Session | None:
        """Wait for a session that another caller gives back; None says that there may be one to open."""
        if len(self._queue) >= self._limits.queue:
            raise Saturated(f"all {self._limits.pool_size} database connections are busy and {len(self._queue)} wait")
        turn: asyncio.Future[Session | None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await turn
        except BaseException as error:
            if turn in self._queue:
                self._queue.remove(turn)
            elif not turn.cancelled():  # it was this one's turn at the very moment that it gave up
                self._pass_on(turn.result())
            if isinstance(error, TimeoutError):
                raise Saturated(f"all {self._limits.pool_size} database connections are busy") from None
            raise

    def _pass_on(self, session: Session | None) -> None:
        if session is None:
            self._hand(None)
        else:
            self._give_back(session)

    def _hand(self, session: Session | None) -> bool:
        """Make it the turn of who is first in line; False where nobody is."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(session)
                return True
        return False

    def _give_back(self, session: Session) -> None:
        """Hand a session that is well to who is next, or keep it; close it where it is past its age."""
        if session.is_closed or self._closed_because is not None or session.expires_at <= time.monotonic():
            self._taken.discard(session)
            self._aside(session.close(self._limits.recover_s))
            self._hand(None)
        elif not self._hand(session):
            self._taken.discard(session)
            self._idle.append(session)

    async def _recover(self, session: Session) -> None:
        """Prove a session well whose operation failed: its statement is over, no transaction is open. Else drop it."""
        try:
            async with asyncio.timeout(self._limits.recover_s):
                await session.rollback()
        except DRIVER_ERRORS:
            session.drop()
        except asyncio.CancelledError:
            session.drop()
            raise
        self._give_back(session)

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)
