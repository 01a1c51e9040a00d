"""How a PostgreSQL server stands: who streams from it, how many may connect, which instances are there.

Without the rights of `pg_monitor` PostgreSQL says that there are standbys, but not how they are.
"""

import asyncio
from dataclasses import dataclass

from titan.store.contract import StoreUnavailable
from titan.store.postgres.session import Row, Session
from titan.store.postgres.tools import tool_session
from titan.store.postgres.url import PostgresUrl

_SERVER = """
SELECT current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved_connections
"""
_STANDBYS = """
SELECT application_name AS name, state, sync_state,
       (pg_current_wal_lsn() - replay_lsn)::bigint AS behind_bytes,
       extract(epoch FROM replay_lag)::float8 AS lag_s
FROM pg_stat_replication r
WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
ORDER BY application_name, pid
"""
_INSTANCES = """
SELECT DISTINCT application_name AS name FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND starts_with(application_name, $1)
ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class Standby:
    """One row of pg_stat_replication; subscribers of single tables (logical replication) are left out."""

    name: str | None
    state: str | None
    """`streaming` where all is well; None: this user may not know."""
    sync_state: str | None
    behind_bytes: int | None
    """None: it replays nothing, as an archive of the log does; or this user may not know."""
    lag_s: float | None
    """How late it replays; None where it is idle or unknown."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the server said."""

    max_connections: int
    reserved_connections: int
    """Of `max_connections`, those kept for superusers and others with that privilege."""
    standbys: tuple[Standby, ...]
    instances: tuple[str, ...]
    """Ids of the instances that are connected, cut as `titan.store.postgres.url.named` cuts them."""
    is_pooled: bool
    """True: there is a pooler in between, whose sessions say little about who uses them."""


def standing(url: PostgresUrl, *, within_s: float) -> Standing:
    """Ask the server, blocking. Raises `StoreUnavailable` or `StoreDamaged`, with the reason in one line."""
    return asyncio.run(_in_time(url, within_s))


async def _in_time(url: PostgresUrl, within_s: float) -> Standing:
    try:
        async with asyncio.timeout(within_s), tool_session(url) as session:
            return await _ask(url, session)
    except TimeoutError as error:
        raise StoreUnavailable(f"the database did not answer within {within_s:g} s") from error


async def _ask(url: PostgresUrl, session: Session) -> Standing:
    await session.begin()
    server = await session.row(_SERVER)
    assert server is not None
    prefix = f"{url.application_name}/"
    instances = await session.rows(_INSTANCES, prefix)
    return Standing(
        **server,
        standbys=tuple(map(_standby, await session.rows(_STANDBYS))),
        instances=tuple(row["name"].removeprefix(prefix) for row in instances),
        is_pooled=session.is_pooled,
    )


def _standby(row: Row) -> Standby:
    return Standby(**row)
