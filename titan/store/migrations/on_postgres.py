"""Migrations on PostgreSQL: each step one transaction, one instance at a time, beside the traffic.

* Several pods may upgrade at once: a step begins by taking an advisory lock and looks at the revision under it, so one
  does the work and the others find it done. It is a transaction's lock, so that it works through a pooler too.
* A step waits at most `LOCK_S` for a lock on a table, for what waits behind it is every request; then it lets go, makes
  room, and tries again, for `PATIENCE_S` in all.

Alembic reads the files and orders them; the statements go through the store's own driver. (Rejected: alembic's own
runner, which needs a second, synchronous driver, or greenlets to wrap this one.)
"""

import asyncio
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from alembic.script import Script

from titan.store.migrations.runner import FOLDER, NotMigrated, UnknownRevision, chain
from titan.store.postgres.connector import Connector
from titan.store.postgres.errors import words
from titan.store.postgres.limits import Limits
from titan.store.postgres.session import Session
from titan.store.postgres.url import PostgresUrl
from titan.store.schema import Schema

POSTGRES = FOLDER / "postgres"
LOCK_S = 0.8
PATIENCE_S = 60.0
PAUSE_S = 0.5

_TURN = 0x7469_7461_6E  # "titan": the advisory lock of whoever migrates
_LIMITS = Limits(connect_s=10.0, statement_s=0, idle_in_transaction_s=60.0)

_AWAIT_TURN = f"SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({_TURN})"
_NOTE = """
INSERT INTO titan_schema (one, revision, oldest_program) VALUES (1, $1, $2)
ON CONFLICT (one) DO UPDATE SET revision = excluded.revision, oldest_program = excluded.oldest_program
"""


def upgrade(url: PostgresUrl, target: str = "head", *, folder: Path = POSTGRES) -> None:
    """Bring a database to a later revision. Raises `NotMigrated`, or `Unreachable`."""
    asyncio.run(_migrate(url, chain(folder), target, up=True))


def downgrade(url: PostgresUrl, target: str, *, may_delete_documents: bool = False, folder: Path = POSTGRES) -> None:
    """Take a database back to an earlier revision, `base`, or by so many steps (`-1`). Raises as `upgrade` does.

    Going back to nothing is refused while there are documents, unless `may_delete_documents`.
    """
    asyncio.run(_migrate(url, chain(folder), target, up=False, may_delete_documents=may_delete_documents))


def current(url: PostgresUrl) -> Schema | None:
    """Return the schema that the database has, None where it has none. Raises `Unreachable`."""
    return asyncio.run(_current(url))


async def _current(url: PostgresUrl) -> Schema | None:
    session = await Connector(url, _LIMITS).connect()
    try:
        await session.begin()
        return await _schema(session)
    finally:
        await session.close(_LIMITS.recover_s)


async def _schema(session: Session) -> Schema | None:
    there = await session.row("SELECT to_regclass('titan_schema') IS NOT NULL AS is_there")
    assert there is not None
    row = await session.row("SELECT revision, oldest_program FROM titan_schema") if there["is_there"] else None
    return None if row is None else Schema(row["revision"], row["oldest_program"])


async def _migrate(
    url: PostgresUrl, scripts: Sequence[Script], target: str, *, up: bool, may_delete_documents: bool = False
) -> None:
    session = await Connector(url, _LIMITS).connect()
    ends = time.monotonic() + PATIENCE_S
    goal: int | None = None
    done = False
    try:
        while not done:
            try:
                await session.begin(_AWAIT_TURN)
                here = _place(scripts, await _schema(session))
                goal = _goal(scripts, here, target) if goal is None else goal  # `-1` counts from the first look
                done = here >= goal if up else here <= goal
                if not (done or up or goal or may_delete_documents):
                    await _refuse_to_delete_documents(session)
                if not done:
                    await _step(session, scripts, here, up=up)
                await session.commit()
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                await session.rollback()
                if time.monotonic() > ends:
                    raise NotMigrated(f"a table was in use for {PATIENCE_S:.0f} s: {words(error)}") from error
                await asyncio.sleep(random.uniform(PAUSE_S / 2, PAUSE_S))  # noqa: S311  (spreads the attempts)
    finally:
        await session.close(_LIMITS.recover_s)


async def _step(session: Session, scripts: Sequence[Script], here: int, *, up: bool) -> None:
    """Go one step up or down in the transaction that is open; `here` is the number of steps that are done."""
    script = scripts[here if up else here - 1]
    await session.row(f"SET LOCAL lock_timeout = {LOCK_S * 1000:.0f}")
    for statement in script.module.UP if up else script.module.DOWN:
        await session.row(statement)
    new = scripts[: here + 1 if up else here - 1]
    if new:
        await session.row(_NOTE, new[-1].revision, new[-1].module.oldest_program)


async def _refuse_to_delete_documents(session: Session) -> None:
    row = await session.row("SELECT count(*) AS documents FROM titan_document")
    assert row is not None
    if row["documents"]:
        raise NotMigrated(f"this would delete all {row['documents']} documents; --delete-documents does it")


def _place(scripts: Sequence[Script], found: Schema | None) -> int:
    """Return how many steps lie behind a database."""
    if found is None:
        return 0
    names = [script.revision for script in scripts]
    if found.revision not in names:
        raise UnknownRevision(f"the database has schema {found.revision}, which only a later titan knows: use that one")
    return names.index(found.revision) + 1


def _goal(scripts: Sequence[Script], here: int, target: str) -> int:
    """Return how many steps shall lie behind it."""
    names = {"base": 0, "head": len(scripts)} | {script.revision: n for n, script in enumerate(scripts, start=1)}
    goal = here + int(target) if re.fullmatch(r"[+-]\d{1,4}", target) else names.get(target, -1)
    if not 0 <= goal <= len(scripts):
        raise UnknownRevision(f"there is no revision {target} here; there are {', '.join(names)}")
    return goal
