"""What a database is to who connects to it: what is looked at, again and again, before it is said to be up."""

from typing import Protocol

import asyncpg

from titan.store.postgres import changes, lineage
from titan.store.postgres.connector import require
from titan.store.postgres.lag import Lag, Origin
from titan.store.postgres.session import Row, Session
from titan.store.postgres.url import Target
from titan.store.schema import Program, Schema, unfit


class Role(Protocol):
    """Both raise `Unreachable`, `SchemaUnfit` or what the driver raises."""

    is_written: bool
    """Transactions that write are made there."""

    async def begin(self, session: Session) -> str:
        """Do what is to be done once, between the first look and the second; return the name of the history, if any."""
        ...

    async def look(self, session: Session, target: Target) -> None:
        """See that the server answers, is of the kind wanted and has a schema that this program can serve."""
        ...


_PROBE = """
SELECT pg_is_in_recovery() AS is_standby,
       current_setting('default_transaction_read_only')::boolean AS is_read_only,
       s.revision, s.oldest_program{more}
FROM (VALUES (1)) AS always LEFT JOIN titan_schema s ON true
"""

# How far the log is written; with synchronous_commit=off what is committed may be visible before it is.
_WRITTEN = f""",
  CASE WHEN NOT pg_is_in_recovery() THEN {lineage.TIMELINE} END AS timeline,
  CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_lsn() - '0/0')::bigint END AS written,
  CASE WHEN current_setting('synchronous_commit') = 'off' AND NOT pg_is_in_recovery()
    THEN (pg_current_wal_insert_lsn() - '0/0')::bigint END AS inserted"""
_REPLAYED = ", (pg_last_wal_replay_lsn() - '0/0')::bigint AS replayed"
_ORIGIN = f""",
  (SELECT system_identifier FROM pg_control_system()) AS system,
  (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database,
  {lineage.LINEAGE} AS lineage"""

STANDBY_SHOWS = f"SELECT pg_is_in_recovery() AS is_standby{_REPLAYED}{_ORIGIN}"
"""What one server behind a standby's address says of itself."""

_PROBES = {more: _PROBE.format(more=more) for more in ("", _WRITTEN + _ORIGIN, _REPLAYED + _ORIGIN)}


class Primary:
    """Where everything is written; with `lag` it is also asked how far its log is, for the sake of a replica."""

    is_written = True

    def __init__(self, program: Program | None = None, lag: Lag | None = None) -> None:
        self._program = program
        self._lag = lag

    async def begin(self, session: Session) -> str:
        """Take over what came from another server; see that the history has a name."""
        await changes.adopt(session)
        if self._lag is not None:
            await lineage.name(session)
        return (await changes.latest(session, 0)).history

    async def look(self, session: Session, target: Target) -> None:
        """See that the server takes writes, and how far it is."""
        asked_at = 0.0 if self._lag is None else self._lag.now()
        row = await _probe(session, "" if self._lag is None else _WRITTEN + _ORIGIN, self._program)
        require(target, is_standby=row["is_standby"], is_read_only=row["is_read_only"])
        if self._lag is not None and row["written"] is not None:
            is_named = (row["lineage"] or "").startswith(row["timeline"])
            committed = row["written"] if row["inserted"] is None else row["inserted"]
            self._lag.wrote(origin(row) if is_named else None, asked_at, row["written"], committed)


async def look_at_standby(session: Session, target: Target, program: Program | None) -> Row:
    """Return what a standby shows: its `origin` and how much it has `replayed`."""
    row = await _probe(session, _REPLAYED + _ORIGIN, program)
    require(target, is_standby=row["is_standby"], is_read_only=row["is_read_only"])
    return row


def origin(row: Row) -> Origin:
    """Return whose log a server has."""
    return Origin(row["system"], row["database"], row["lineage"] or "")


async def _probe(session: Session, more: str, program: Program | None) -> Row:
    try:
        row = await session.read_row(_PROBES[more])
    except asyncpg.UndefinedTableError:
        row = None
    schema = None if row is None or row["revision"] is None else Schema(row["revision"], row["oldest_program"])
    if (error := unfit(schema, program)) is not None:
        raise error
    assert row is not None
    return row
