"""A store with a replica on real servers, and what tests of it do and ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from supervisors.kernel import ChildExited, ChildRestarting
from tests.support.postgres import Postgres
from tests.support.postgres_store import Opened, opened
from tests.support.store_documents import document
from tests.support.waiting import until, wait_until
from titan.store.contract import Created, Found, Kind, Page, Replaced, WriteMode
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync
ONE = "urn:test:one"
NEVER = 1 << 62
"""A mark that no snapshot shows."""
REPLAYED = "pg_last_wal_replay_lsn()"


@asynccontextmanager
async def reading(primary: Postgres, standby: Postgres, name: str, **options: Any) -> AsyncIterator[Opened]:
    """The store and its replica; with the replica up and known to be near."""
    async with opened(primary.url(name), read_url=standby.url(name), **options) as it:
        await until(lambda: it.replica_check.result.status is Status.UP and it.replica.is_near, what="the replica")
        yield it
        assert [event for event in it.events if isinstance(event, ChildExited | ChildRestarting)] == []


async def find(it: Opened, document_id: str = ONE, mark: int = 0) -> Found | None:
    """Ask the replica for a document."""
    return await it.replica.find(Kind.SHELL, document_id, with_blobs=False, mark=mark)


async def page(it: Opened, mark: int = 0, **options: Any) -> Page | None:
    """Ask the replica for a page of Shells."""
    asked: dict[str, Any] = {"terms": (), "after": 0, "limit": 100, "with_blobs": False, **options}
    return await it.replica.page(Kind.SHELL, mark=mark, **asked)


async def put(it: Opened, text: str = "", document_id: str = ONE) -> Created | Replaced:
    """Write a document on the primary."""
    outcome = await it.store.write(document(document_id, text=text), WriteMode.PUT)
    assert isinstance(outcome, Created | Replaced)
    return outcome


def revision(found: Found | None) -> int:
    """The revision found; 0 for none, and where the primary has to be asked."""
    return 0 if found is None or found.stored is None else found.stored.revision


async def seen(it: Opened, mark: int, document_id: str = ONE) -> Found:
    """Return what the replica finds once it shows the mark."""
    with trio.fail_after(10):
        while (found := await find(it, document_id, mark)) is None:  # noqa: ASYNC110  (another process gets there)
            await trio.sleep(0.002)
        return found


async def paused(standby: Postgres) -> None:
    """Stop the standby's replay."""
    await in_thread(standby.psql, "SELECT pg_wal_replay_pause()")
    state = "SELECT pg_get_wal_replay_pause_state()"
    await in_thread(wait_until, lambda: standby.psql(state) == "paused")


async def position(server: Postgres, of: str) -> int:
    """Return a position in the log as a number."""
    return int(await in_thread(server.psql, f"SELECT ({of} - '0/0')::bigint"))
