"""One session for a command: no request waits for it, so it may take its time; its errors are the contract's.

Runs on an asyncio loop of the command's own, without an island: a command has nothing else to do meanwhile.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from titan.store.contract import StoreUnavailable
from titan.store.postgres.connector import Connector
from titan.store.postgres.errors import as_contract, words
from titan.store.postgres.limits import Limits
from titan.store.postgres.session import Session
from titan.store.postgres.url import PostgresUrl
from titan.store.schema import Schema

LIMITS = Limits(connect_s=10.0, statement_s=0, idle_in_transaction_s=60.0)


@asynccontextmanager
async def tool_session(url: PostgresUrl) -> AsyncIterator[Session]:
    """Open a session for a command.

    Raises `StoreUnavailable` or `StoreDamaged` for whatever the driver or the server has to say, in one line.
    """
    try:
        session = await Connector(url, LIMITS).connect()
        try:
            yield session
        finally:
            await session.close(LIMITS.recover_s)
    except Exception as error:
        expected = as_contract(error)
        if expected is None and isinstance(error, asyncpg.PostgresError):
            expected = StoreUnavailable(f"the database refuses: {words(error)}")
        if expected is None or expected is error:
            raise
        raise expected from error


async def schema_of(session: Session) -> Schema | None:
    """Return the schema that the database has, None where it has none; in the transaction that is open."""
    there = await session.row("SELECT to_regclass('titan_schema') IS NOT NULL AS is_there")
    assert there is not None
    row = await session.row("SELECT revision, oldest_program FROM titan_schema") if there["is_there"] else None
    return None if row is None else Schema(row["revision"], row["oldest_program"])


async def look(url: PostgresUrl) -> tuple[Schema | None, str | None]:
    """Return schema and identity of a database, None for what it has not. Raises as `tool_session` does."""
    async with tool_session(url) as session:
        await session.begin()
        found = await schema_of(session)
        if found is None:
            return None, None
        row = await session.row("SELECT value FROM titan_meta WHERE name = 'identity'")
        return found, None if row is None else row["value"]
