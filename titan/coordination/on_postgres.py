"""The election on PostgreSQL, for installations without Redis: a row per role, by the database's clock."""

from collections.abc import Awaitable
from typing import TypeVar

from titan.coordination.election import ElectionAway, Held
from titan.store.contract import StoreUnavailable
from titan.store.postgres.leases import PostgresLeases

T = TypeVar("T")


class PostgresElection:
    """See `titan.coordination.election.Election`."""

    def __init__(self, leases: PostgresLeases) -> None:
        self._leases = leases

    async def acquire(self, role: str, holder: str, ttl_s: float) -> bool:
        """Take the lease if nobody has it."""
        return await _asked(self._leases.acquire(role, holder, ttl_s))

    async def renew(self, role: str, holder: str, ttl_s: float) -> bool:
        """Have it end later."""
        return await _asked(self._leases.renew(role, holder, ttl_s))

    async def release(self, role: str, holder: str) -> None:
        """Let go of it."""
        await _asked(self._leases.release(role, holder))

    async def look(self, role: str) -> Held | None:
        """Say who has it."""
        found = await _asked(self._leases.look(role))
        return None if found is None else Held(*found)

    async def ask(self, role: str) -> bool:
        """Ask its holder to let go."""
        return await _asked(self._leases.ask(role))

    async def clear(self, role: str) -> None:
        """Take it away."""
        await _asked(self._leases.clear(role))


async def _asked(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except StoreUnavailable as error:
        raise ElectionAway(error.reason) from error
