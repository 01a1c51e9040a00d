"""An election in memory, on trio's clock, whose every question can be held up; proven by the suite of the real ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from titan.coordination.election import ElectionAway, Held

T = TypeVar("T")


@dataclass
class Lease:
    """One row of the book."""

    holder: str
    ends_at: float
    is_asked_for: bool = False


@dataclass
class Book:
    """See `titan.coordination.election.Election`; several candidates may share one."""

    leases: dict[str, Lease] = field(default_factory=dict)
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    """When, which question, who."""
    way_there_s: float = 0.0
    """How long a question is under way before it is carried out."""
    way_back_s: float = 0.0
    """How long its answer is."""
    away: str | None = None
    before: Callable[[str], None] = lambda _: None
    """Told of each question before it is sent."""

    async def acquire(self, role: str, holder: str, ttl_s: float) -> bool:
        await self._go("acquire", holder)
        is_free = self._held(role) is None
        if is_free:
            self.leases[role] = Lease(holder, trio.current_time() + ttl_s)
        return await self._come(is_free)

    async def renew(self, role: str, holder: str, ttl_s: float) -> bool:
        await self._go("renew", holder)
        lease = self._held(role)
        is_ours = lease is not None and lease.holder == holder
        if lease is not None and is_ours:
            lease.ends_at = trio.current_time() + ttl_s
        return await self._come(is_ours)

    async def release(self, role: str, holder: str) -> None:
        await self._go("release", holder)
        lease = self._held(role)
        if lease is not None and lease.holder == holder:
            del self.leases[role]
        await self._come(None)

    async def look(self, role: str) -> Held | None:
        await self._go("look", "")
        lease = self._held(role)
        if lease is None:
            return await self._come(None)
        left_s = lease.ends_at - trio.current_time()
        return await self._come(Held(lease.holder, left_s, is_asked_for=lease.is_asked_for))

    async def ask(self, role: str) -> bool:
        await self._go("ask", "")
        lease = self._held(role)
        if lease is not None:
            lease.is_asked_for = True
        return await self._come(lease is not None)

    async def clear(self, role: str) -> None:
        await self._go("clear", "")
        self.leases.pop(role, None)
        await self._come(None)

    def holder(self, role: str) -> str | None:
        """Say who has the lease now."""
        lease = self._held(role)
        return None if lease is None else lease.holder

    def give(self, role: str, holder: str, left_s: float = math.inf) -> None:
        """Let somebody have it."""
        self.leases[role] = Lease(holder, trio.current_time() + left_s)

    def _held(self, role: str) -> Lease | None:
        lease = self.leases.get(role)
        return None if lease is None or lease.ends_at <= trio.current_time() else lease

    async def _go(self, question: str, who: str) -> None:
        self.before(question)
        self.asked.append((trio.current_time(), question, who))
        await trio.sleep(self.way_there_s)
        if self.away is not None:
            raise ElectionAway(self.away)

    async def _come(self, answer: T) -> T:
        await trio.sleep(self.way_back_s)
        return answer
