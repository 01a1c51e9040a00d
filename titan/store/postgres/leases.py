"""Leases in the database, by its own clock; what they mean: `titan.coordination`.

A lease that ended is as good as none: its row stays for the next holder. `clock_timestamp()`, because a statement that
waited for the row must not judge by the time at which its transaction began.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from titan.store.postgres.session import Session

Use = Callable[..., Awaitable[Any]]
"""Runs an operation on a session of its own (`PostgresStore`)."""

_ENDS = "clock_timestamp() + $3::float8 * interval '1 s'"
_ACQUIRE = f"""
INSERT INTO titan_lease AS l (role, holder, ends_at, is_asked_for) VALUES ($1, $2, {_ENDS}, false)
ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, ends_at = {_ENDS}, is_asked_for = false
WHERE l.ends_at <= clock_timestamp() RETURNING role
"""
_RENEW = f"""
UPDATE titan_lease SET ends_at = {_ENDS} WHERE role = $1 AND holder = $2 AND ends_at > clock_timestamp() RETURNING role
"""
_RELEASE = "DELETE FROM titan_lease WHERE role = $1 AND holder = $2 RETURNING role"
_CLEAR = "DELETE FROM titan_lease WHERE role = $1 RETURNING role"
_ASK = "UPDATE titan_lease SET is_asked_for = true WHERE role = $1 AND ends_at > clock_timestamp() RETURNING role"
_LOOK = """
SELECT holder, extract(epoch FROM ends_at - clock_timestamp())::float8 AS left_s, is_asked_for
FROM titan_lease WHERE role = $1 AND ends_at > clock_timestamp()
"""


class PostgresLeases:
    """Every method raises `StoreUnavailable`; the caller owns the time-out."""

    def __init__(self, use: Use) -> None:
        self._use = use

    async def acquire(self, role: str, holder: str, ttl_s: float) -> bool:
        """Take a lease that nobody has; False where somebody has it."""
        return bool(await self._use(_change, _ACQUIRE, role, holder, ttl_s))

    async def renew(self, role: str, holder: str, ttl_s: float) -> bool:
        """Have it end `ttl_s` from now; False where it is not this holder's."""
        return bool(await self._use(_change, _RENEW, role, holder, ttl_s))

    async def release(self, role: str, holder: str) -> None:
        """Let go of it, if it is this holder's."""
        await self._use(_change, _RELEASE, role, holder)

    async def look(self, role: str) -> tuple[str, float, bool] | None:
        """Return its holder, how long it holds, and whether its release was asked for; None where nobody has it."""
        found: tuple[str, float, bool] | None = await self._use(_look, role)
        return found

    async def ask(self, role: str) -> bool:
        """Ask its holder to let go; False where nobody has it."""
        return bool(await self._use(_change, _ASK, role))

    async def clear(self, role: str) -> None:
        """Take it away from whoever has it."""
        await self._use(_change, _CLEAR, role)


async def _change(session: Session, sql: str, *args: object) -> bool:
    await session.begin()
    changed = await session.row(sql, *args) is not None
    await session.commit()
    return changed


async def _look(session: Session, role: str) -> tuple[str, float, bool] | None:
    row = await session.read_row(_LOOK, role)
    return None if row is None else (row["holder"], row["left_s"], row["is_asked_for"])
