"""The embedded store: made, migrated if that is due, and locked for this server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from supervisors.actors.sqlite_writer import SqliteWriterActor
from supervisors.backends import Embedded, Surroundings
from titan.coordination.alone import Alone
from titan.store.sqlite.lock import serve_lock
from titan.store.sqlite.prepare import make_folder, prepare
from titan.store.sqlite.store import SqliteStore


@asynccontextmanager
async def embedded(path: Path, around: Surroundings) -> AsyncIterator[Embedded]:
    """Open the store in this file for a server."""
    make_folder(path.parent)
    with serve_lock(path):
        await prepare(path)
        async with SqliteStore(path) as store:
            await store.blobs.remove_leftovers()
            yield Embedded(store, Alone(), SqliteWriterActor(store, around.new_check("database")), _place(path))


def _place(path: Path) -> str:
    return str(path.absolute())
