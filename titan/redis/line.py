"""One connection to one server, shared by everybody: commands leave as they come, answers come back in their order.

Redis answers one command after the other anyway, so more connections would gain nothing but sockets to watch, each of
which would have to be opened anew after an outage; with one, whoever asks never connects (ADR 0022). A caller that is
cancelled just does not take its answer: nothing is ever read half.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from redis import exceptions

from titan.redis.contract import RedisAway, Word
from titan.redis.dialing import Wire
from titan.redis.errors import DRIVER_ERRORS, words

SUSPECT_S = 0.1
"""An answer that is not there by then makes one ask elsewhere first, where there is a choice."""


class Line:
    """Takes over a connection that was just opened. `on_lost` is called when it ends by itself."""

    def __init__(self, wire: Wire, place: str, *, max_age_s: float, on_lost: Callable[[str], None]) -> None:
        self.place = place
        self.lost_because: str | None = None
        self._on_lost = on_lost
        self._wire = wire
        self._expires_at = time.monotonic() + max_age_s
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        """Whom the next answers are for, and when they asked."""
        self._outgoing: list[bytes] = []
        self._has_outgoing = asyncio.Event()
        self._is_retired = False
        self._tasks = (asyncio.create_task(self._send()), asyncio.create_task(self._receive()))
        for task in self._tasks:
            task.add_done_callback(self._over)

    @property
    def is_old(self) -> bool:
        """True: to be replaced, so that a name which moved is noticed."""
        return time.monotonic() > self._expires_at

    @property
    def is_suspect(self) -> bool:
        """True: it is lost, or an answer is long in coming."""
        return self.lost_because is not None or (
            bool(self._waiting) and time.monotonic() - self._waiting[0][1] > SUSPECT_S
        )

    def ask(self, *command: Word) -> "asyncio.Future[Any]":
        """Send a command; its answer, or the driver's error, is the future's.

        Commands given without an `await` in between are next to each other for the server. Raises `RedisAway` once
        the connection is lost.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.lost_because is not None:
            raise RedisAway(self.lost_because)
        self._outgoing += self._wire.pack_command(*command)
        self._waiting.append((answer, time.monotonic()))
        self._has_outgoing.set()
        return answer

    def retire(self) -> None:
        """Close it as soon as nobody waits any more; nobody may ask from now on."""
        self._is_retired = True
        if not self._waiting:
            self.close("its time is up")

    def close(self, reason: str, error: BaseException | None = None) -> None:
        """Drop the connection; who waits for an answer is told why there will be none: by `error`, else by `reason`."""
        if self.lost_because is not None:
            return
        self.lost_because = reason
        for task in self._tasks:
            task.cancel()
        self._wire.abort()
        waiting, self._waiting = self._waiting, deque()
        for answer, _ in waiting:
            if not answer.done():
                answer.set_exception(error or RedisAway(reason))

    async def _send(self) -> None:
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            outgoing, self._outgoing = self._outgoing, []
            await self._wire.send_packed_command(outgoing, check_health=False)

    async def _receive(self) -> None:
        while not (self._is_retired and not self._waiting):
            try:
                reply = await self._wire.read_response(timeout=math.inf, disconnect_on_error=False)
            except exceptions.ResponseError as error:
                reply = error
            if not self._waiting:
                raise exceptions.InvalidResponse("an answer to nothing")
            answer, _ = self._waiting.popleft()
            if answer.done():
                continue  # its caller was cancelled
            if isinstance(reply, Exception):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)

    def _over(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        reason = f"{'closed' if error is None else words(error)} ({self.place})"
        is_bug = isinstance(error, Exception) and not isinstance(error, DRIVER_ERRORS)
        if self.lost_because is None:
            self.close(reason, error if is_bug else None)
            if not self._is_retired:
                self._on_lost(reason)
