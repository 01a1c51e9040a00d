"""Ends the transactions of instances that froze in the middle of what they said, and with them their locks.

The server itself ends one whose client says nothing (`idle_in_transaction_session_timeout`), also in the middle of a
message. Not where the client froze between two messages of one statement, behind Parse or Bind and before Sync, nor
where it does not take its answer: then no time-out of PostgreSQL before 17 bites (measured on 15), and the locks stay
for as long as the instance is frozen. It is rare, since the messages of a statement mostly leave in one go, but a large
document does not; and a leader's epoch would be held with it. So every instance that watches its database looks for
such sessions.

Not promised: that one is ended that holds no transaction number (it holds no row), or is another role's; nor that any
is where the right to see or to end sessions was taken from everybody.
"""

import asyncpg

from titan.store.postgres.session import Session

# Of this program, on this database; `active` since then and waiting for nothing but its client.
_FROZEN = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
  AND split_part(application_name, '/', 1) = split_part(current_setting('application_name'), '/', 1)
  AND application_name <> ''
  AND state = 'active' AND wait_event_type = 'Client' AND backend_xid IS NOT NULL
  AND state_change < clock_timestamp() - $1::float8 * interval '1 s'
"""
_END = "SELECT pg_terminate_backend($1)"


async def end_frozen(session: Session, after_s: float) -> int:
    """End what has been frozen for so long; return how many sessions that were."""
    ended = 0
    try:
        for row in await session.read_rows(_FROZEN, after_s):
            await session.begin()
            await session.row(_END, row["pid"])
            await session.commit()
            ended += 1
    except asyncpg.InsufficientPrivilegeError:  # somebody took it from PUBLIC: it is no reason not to serve
        await session.rollback()
    return ended
