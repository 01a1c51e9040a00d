"""The embedded store: made, migrated if that is due, and locked for this server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from supervisors.actors.change_feed import ChangeFeedActor
from supervisors.actors.sqlite_writer import SqliteWriterActor
from supervisors.backends import Embedded, Surroundings
from titan.cache.tail import Tail
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
            writer = SqliteWriterActor(store, around.new_check("database"))
            yield Embedded(store, Alone(), writer, _change_feed(store, around), _place(path))


def _change_feed(store: SqliteStore, around: Surroundings) -> ChangeFeedActor:
    """Follow what this process writes, and what an import beside it does; nothing is cached here."""
    tail = Tail(on_named=lambda _key, _revision: None, on_begin=lambda: None, kept=0)
    check = around.new_check("change_feed")
    feed = ChangeFeedActor(store, tail, check, backfill=0)
    store.writer.on_wrote = feed.poke
    return feed


def _place(path: Path) -> str:
    return str(path.absolute())
