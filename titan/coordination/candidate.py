"""The protocol of one candidate for one role: follow, win, keep, let go. Times are trio's clock, so tests own them.

Whoever may hold a lease says so in `may_hold` before it asks, and takes it back only on an answer: a question that was
cancelled, timed out or answered too late leaves it set, and `release` does the rest.
"""

import random
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeVar

import trio

from titan.coordination.election import Election, ElectionAway, Held
from titan.coordination.timings import Timings

T = TypeVar("T")


class End(StrEnum):
    """Why a lease is not kept any longer."""

    LOST = "the lease is not ours any more"
    ASKED = "its release was asked for"
    LATE = "the lease could not be renewed in time"
    UNFIT = "this instance cannot do the work now"


def wait_s(held: Held, timings: Timings, rng: random.Random) -> float:
    """Say how long a follower waits before it looks again."""
    return min(max(held.left_s, 0.0), timings.look_s) + rng.uniform(0, timings.jitter_s)


class Candidate:
    """One instance that stands for one role; used by one task."""

    def __init__(
        self,
        election: Election,
        role: str,
        holder: str,
        timings: Timings,
        *,
        unfit_because: Callable[[], str | None] = lambda: None,
        tell: Callable[[str], None] = lambda _: None,
        rng: random.Random | None = None,
    ) -> None:
        """`unfit_because` says why this instance should not lead now; `tell` hears when the election goes and comes."""
        self.role = role
        self.holder = holder
        self.timings = timings
        self.may_hold = False
        self._election = election
        self._unfit_because = unfit_because
        self._tell = tell
        self._rng = rng or random.Random()  # noqa: S311  (spreads candidates, guards nothing)
        self._away: str | None = None

    async def win(self) -> float:
        """Follow until the lease is ours; return until when it holds."""
        while True:
            if self._unfit_because() is not None:
                await trio.sleep(self.timings.look_s)
            elif (until := await self._try()) is not None:
                return until

    async def _try(self) -> float | None:
        """Look once, wait for as long as that tells, take it if it is free; return until when we hold it."""
        try:
            held = await self._ask(self._election.look, self.role)
            if held is None:
                return await self._acquire()
            if held.holder == self.holder:  # won by a question whose answer never came, or kept from the last term
                return await self.renew()
            await trio.sleep(wait_s(held, self.timings, self._rng))
        except ElectionAway:
            await trio.sleep(self.timings.look_s)
        return None

    async def _acquire(self) -> float | None:
        until = trio.current_time() + self.timings.ttl_s
        self.may_hold = True
        self.may_hold = await self._ask(self._election.acquire, self.role, self.holder, self.timings.ttl_s)
        return until if self.may_hold and trio.current_time() < until else None

    async def renew(self) -> float | None:
        """Renew the lease; return until when it holds now, None where it is lost. Raises `ElectionAway`."""
        until = trio.current_time() + self.timings.ttl_s
        self.may_hold = True
        self.may_hold = await self._ask(self._election.renew, self.role, self.holder, self.timings.ttl_s)
        return until if self.may_hold and trio.current_time() < until else None

    async def keep(self, until: float, extend: Callable[[float], bool]) -> End:
        """Renew the lease, which holds until then, and tell `extend` each new end; return why it is not kept."""
        renew_at = until - self.timings.ttl_s + self.timings.renew_s
        while True:
            await trio.sleep_until(min(renew_at, trio.current_time() + self.timings.look_s))
            if self._unfit_because() is not None:
                return End.UNFIT
            try:
                if trio.current_time() < renew_at:
                    end = await self._look_after_it()
                else:
                    renewed = await self.renew()
                    if renewed is not None:
                        until, renew_at = renewed, renewed - self.timings.ttl_s + self.timings.renew_s
                    end = None if renewed is not None and extend(renewed) else End.LOST
            except ElectionAway:
                now = trio.current_time()
                if now >= renew_at:  # else it was a look in vain, and the renewal has its own time
                    renew_at = now + self.timings.retry_s
                end = None if now < until else End.LATE
            if end is not None:
                return end

    async def _look_after_it(self) -> End | None:
        held = await self._ask(self._election.look, self.role)
        if held is None or held.holder != self.holder:
            return End.LOST
        return End.ASKED if held.is_asked_for else None

    async def release(self) -> None:
        """Let go of what we may hold; it runs out by itself where that cannot be done."""
        if not self.may_hold:
            return
        try:
            await self._ask(self._election.release, self.role, self.holder)
        except ElectionAway:
            return
        self.may_hold = False

    async def _ask(self, question: Callable[..., Awaitable[T]], *args: object) -> T:
        """Ask the election, for `call_s` at most. Raises `ElectionAway`; says when it goes and comes back."""
        answers: list[T] = []
        with trio.move_on_after(self.timings.call_s):
            try:
                answers.append(await question(*args))
            except ElectionAway as error:
                self._note_away(error.reason)
                raise
        if not answers:
            reason = f"no answer within {self.timings.call_s:g} s"
            self._note_away(reason)
            raise ElectionAway(reason)
        self._note_away(None)
        return answers[0]

    def _note_away(self, reason: str | None) -> None:
        if (reason is None) is not (self._away is None):
            self._tell("answers again" if reason is None else f"cannot be asked: {reason}")
        self._away = reason
