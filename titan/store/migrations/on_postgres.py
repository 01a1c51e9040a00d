"""Migrations on PostgreSQL: each step one transaction, one instance at a time, beside the traffic.

* Several pods may upgrade at once: a step begins by taking an advisory lock and looks at the revision under it, so one
  does the work and the others find it done. It is a transaction's lock, so that it works through a pooler too.
* A step waits for table locks for at most `LOCK_S` in all, for what waits behind it is every request; then it lets go,
  makes room, and tries again, for `PATIENCE_S` in all. So a migration takes its locks before it does anything long.

Alembic reads the files and orders them; the statements go through the store's own driver. (Rejected: alembic's own
runner, which needs a second, synchronous driver, or greenlets to wrap this one.)
"""

import asyncio
import math
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from alembic.script import Script

from titan.store.migrations.runner import FOLDER, NotMigrated, UnknownRevision, chain
from titan.store.postgres.session import Session
from titan.store.postgres.tools import look, schema_of, tool_session
from titan.store.postgres.url import PostgresUrl
from titan.store.schema import Schema

POSTGRES = FOLDER / "postgres"
LOCK_S = 0.2
"""Less than a request waits for a connection (`Limits.queue_s`): with all of them waiting here, none is refused."""
PATIENCE_S = 60.0
PAUSE_S = 0.5

Moved = tuple[Schema | None, Schema | None]
"""The schema that was found and the one that is left."""

_TURN = 0x7469_7461_6E  # "titan": the advisory lock of whoever migrates
_AWAIT_TURN = f"SELECT pg_advisory_xact_lock({_TURN})"
_NOTE = """
INSERT INTO titan_schema (one, revision, oldest_program) VALUES (1, $1, $2)
ON CONFLICT (one) DO UPDATE SET revision = excluded.revision, oldest_program = excluded.oldest_program
"""
# Of another user's session nothing but its number may be seen.
_WHO = """
SELECT string_agg(concat('process ', pid, ' (' || nullif(application_name, '') || ')'), ', ') AS who FROM (
  SELECT a.pid, a.application_name FROM pg_stat_activity a
  WHERE a.pid <> pg_backend_pid() AND coalesce(now() - a.xact_start > interval '1 s', true) AND EXISTS (
    SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = a.pid AND l.granted AND l.database = a.datid AND c.relname LIKE 'titan\\_%'
  )
  ORDER BY a.xact_start LIMIT 5
) AS holders
"""


def upgrade(url: PostgresUrl, target: str = "head", *, folder: Path = POSTGRES) -> Moved:
    """Bring a database to a later revision. Raises `NotMigrated`, or what `tool_session` raises.

    `head` leaves a schema alone that only a later program knows: whether this one can serve it is another question.
    """
    return asyncio.run(_migrate(url, chain(folder), target, up=True))


def downgrade(url: PostgresUrl, target: str, *, may_delete_documents: bool = False, folder: Path = POSTGRES) -> Moved:
    """Take a database back to an earlier revision, `base`, or by so many steps (`-1`). Raises as `upgrade` does.

    Going back to nothing is refused while there are documents, unless `may_delete_documents`.
    """
    return asyncio.run(_migrate(url, chain(folder), target, up=False, may_delete_documents=may_delete_documents))


def current(url: PostgresUrl) -> Schema | None:
    """Return the schema that the database has, None where it has none. Raises as `tool_session` does."""
    return asyncio.run(look(url))[0]


async def _migrate(
    url: PostgresUrl, scripts: Sequence[Script], target: str, *, up: bool, may_delete_documents: bool = False
) -> Moved:
    first: Schema | None = None
    goal: int | None = None
    ends = time.monotonic() + PATIENCE_S
    async with tool_session(url) as session:
        while True:
            try:
                await session.begin(_AWAIT_TURN)
                found = await schema_of(session)
                if up and target == "head" and _is_beyond(scripts, found):
                    return first or found, found
                if goal is None:  # `-1` counts from the first look
                    first, goal = found, _goal(scripts, found, target)
                here = _place(scripts, found)
                if here >= goal if up else here <= goal:
                    return first, found  # closing the session ends its transaction
                if not (up or goal or may_delete_documents):
                    await _refuse_to_delete_documents(session)
                await _step(session, scripts, here, up=up)
                await session.commit()
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                await session.rollback()
                if time.monotonic() > ends:
                    raise NotMigrated(await _in_use(session)) from error
                await asyncio.sleep(random.uniform(PAUSE_S / 2, PAUSE_S))  # noqa: S311  (spreads the attempts)


async def _step(session: Session, scripts: Sequence[Script], here: int, *, up: bool) -> None:
    """Go one step up or down in the transaction that is open; `here` is the number of steps that are done."""
    script = scripts[here if up else here - 1]
    ends = time.monotonic() + LOCK_S
    for statement in script.module.UP if up else script.module.DOWN:
        left_ms = max(math.ceil((ends - time.monotonic()) * 1000), 1)  # 0 would be no limit at all
        await session.row(f"SET LOCAL lock_timeout = {left_ms}")
        await session.row(statement)
    new = scripts[: here + 1 if up else here - 1]
    if new:
        await session.row(_NOTE, new[-1].revision, new[-1].module.oldest_program)


async def _in_use(session: Session) -> str:
    """Say who keeps the tables locked, as far as this user may see it, and how far it came."""
    await session.begin()
    found = await schema_of(session)
    row = await session.row(_WHO)
    who = row and row["who"]
    return (
        f"a table was in use for {PATIENCE_S:.0f} s{f' by {who}' if who else ''}; end that, or try again later; "
        f"the schema is {found.revision if found else 'none'} now"
    )


async def _refuse_to_delete_documents(session: Session) -> None:
    row = await session.row("SELECT count(*) AS documents FROM titan_document")
    assert row is not None
    if row["documents"]:
        raise NotMigrated(f"this would delete all {row['documents']} documents; --delete-documents does it")


def _is_beyond(scripts: Sequence[Script], found: Schema | None) -> bool:
    return found is not None and found.revision > scripts[-1].revision


def _place(scripts: Sequence[Script], found: Schema | None) -> int:
    """Return how many steps lie behind a database."""
    if found is None:
        return 0
    names = [script.revision for script in scripts]
    if found.revision not in names:
        raise UnknownRevision(f"the database has schema {found.revision}, which only a later titan knows: use that one")
    return names.index(found.revision) + 1


def _goal(scripts: Sequence[Script], found: Schema | None, target: str) -> int:
    """Return how many steps shall lie behind it."""
    here = _place(scripts, found)
    names = {"base": 0, "head": len(scripts)} | {script.revision: n for n, script in enumerate(scripts, start=1)}
    goal = here + int(target) if re.fullmatch(r"[+-]\d{1,4}", target) else names.get(target, -1)
    if not 0 <= goal <= len(scripts):
        raise UnknownRevision(f"there is no revision {target} here; there are {', '.join(names)}")
    return goal
