"""Files in PostgreSQL: what is particular to it; the rest is in the contract's suite."""

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest
import trio

from tests.support.fenced import swept
from tests.support.pgbouncer import running_pgbouncer
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_store import assert_files_are_whole, fresh_database, opened
from tests.support.store_documents import document
from titan.store.blobs import PIECE_BYTES
from titan.store.contract import Store, StoreUnavailable, WriteMode
from titan.store.postgres import blob_rows
from titan.store.postgres import blobs as postgres_blobs
from titan.telemetry.health import Status

NEVER_MS = 1 << 50


async def put(store: Store, *pieces: bytes) -> str:
    async with store.blobs.upload() as upload:
        for piece in pieces:
            await upload.write(piece)
        return await upload.finish()


async def content(store: Store, key: str) -> bytes:
    async with aclosing(store.blobs.read(key)) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_an_upload_that_no_longer_moves_is_swept_and_learns_that(it, postgres, database):
    """That is what an instance leaves behind that was killed; one that was only very slow makes no half file."""
    async with it.store.blobs.upload() as upload:
        await upload.write(bytes(PIECE_BYTES))
        assert await swept(it.store, before_ms=1) == 0
        assert await swept(it.store, before_ms=NEVER_MS) == 1
        with pytest.raises(StoreUnavailable, match="given up"):
            await upload.write(bytes(PIECE_BYTES))
        with pytest.raises(StoreUnavailable, match="given up"):
            await upload.finish()
    assert postgres.psql("SELECT count(*) FROM titan_blob", database) == "0"
    assert postgres.psql("SELECT count(*) FROM titan_blob_chunk", database) == "0"


async def test_an_upload_that_moves_slowly_shows_it(it, postgres, database, monkeypatch):
    monkeypatch.setattr(postgres_blobs, "FLUSH_AFTER_S", -1)
    async with it.store.blobs.upload() as upload:
        for _ in range(3):
            await upload.write(b"some")
        assert postgres.psql("SELECT count(*) FROM titan_blob_chunk", database) == "3"
        key = await upload.finish()
    assert await content(it.store, key) == b"some" * 3


async def test_an_upload_that_breaks_off_is_removed_at_once(it, postgres, database):
    with trio.move_on_after(0.5):
        async with it.store.blobs.upload() as upload:
            for _ in range(10):
                await upload.write(bytes(PIECE_BYTES))
            await trio.sleep_forever()
    assert postgres.psql("SELECT count(*) FROM titan_blob", database) == "0"
    assert postgres.psql("SELECT count(*) FROM titan_blob_chunk", database) == "0"


async def test_nothing_is_held_while_a_client_is_slow(it, postgres, database):
    async with it.store.blobs.upload() as upload:
        await upload.write(bytes(PIECE_BYTES))
        pieces = it.store.blobs.read(await put(it.store, bytes(3 * PIECE_BYTES)))
        async with aclosing(pieces):
            await anext(pieces)
            assert it.database.statistics.in_use == 0
            busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start < now()"
            assert postgres.psql(f"{busy} AND pid <> pg_backend_pid()", database) == "0"


async def test_a_sweep_that_broke_off_goes_on(it, postgres, database, monkeypatch):
    for number in range(3):
        await put(it.store, b"%d" % number * PIECE_BYTES)
    remove = blob_rows.remove

    async def fail(session: object, n: int, fence: object) -> bool:
        raise StoreUnavailable("broken off")

    monkeypatch.setattr(blob_rows, "remove", fail)
    with pytest.raises(StoreUnavailable):
        await swept(it.store, before_ms=NEVER_MS)
    monkeypatch.setattr(blob_rows, "remove", remove)
    assert postgres.psql("SELECT count(*) FROM titan_blob WHERE state = 2", database) == "3"
    assert await swept(it.store, before_ms=NEVER_MS) == 3
    assert postgres.psql("SELECT count(*) FROM titan_blob_chunk", database) == "0"


async def test_a_large_file_is_removed_in_short_transactions(it, postgres, database):
    key = await put(it.store, *([bytes(PIECE_BYTES)] * 100))
    assert await swept(it.store, before_ms=NEVER_MS) == 1
    assert await it.store.blobs.look(key) is None
    assert postgres.psql("SELECT count(*) FROM titan_blob_chunk", database) == "0"


async def test_behind_a_pooler(postgres, database):
    with running_pgbouncer(postgres) as pooler:
        async with opened(pooler.url(database)) as it:
            key = await put(it.store, bytes(3 * PIECE_BYTES), b"end")
            await it.store.write(replace(document(), blobs=frozenset({key})), WriteMode.CREATE)
            assert await swept(it.store, before_ms=NEVER_MS) == 0
            assert await content(it.store, key) == bytes(3 * PIECE_BYTES) + b"end"
    assert_files_are_whole(postgres, database)


# --- when the database goes


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_server() as server:
        yield server


@pytest.fixture
def name(server) -> Iterator[str]:
    with fresh_database(server) as name:
        yield name


@pytest.mark.parametrize("harm", ["kill", "freeze"])
async def test_a_database_that_goes_ends_both_ways_soon_and_what_was_there_is_there(server, name, harm):
    async with opened(server.url(name)) as it:
        key = await put(it.store, *([bytes(PIECE_BYTES)] * 8))
        pieces = it.store.blobs.read(key)
        await anext(pieces)
        began = 0.0
        with pytest.raises(StoreUnavailable):  # noqa: PT012
            async with it.store.blobs.upload() as upload:
                await upload.write(bytes(2 * PIECE_BYTES))
                await trio.to_thread.run_sync(getattr(server, harm))
                began = trio.current_time()
                await upload.write(bytes(2 * PIECE_BYTES))
        with pytest.raises(StoreUnavailable):
            await anext(pieces)
        assert trio.current_time() - began < 2 + postgres_blobs.CLEAN_UP_S
        await trio.to_thread.run_sync(server.start if harm == "kill" else server.thaw)
        await it.wait(Status.UP)
        assert await content(it.store, key) == bytes(8 * PIECE_BYTES)
        assert await swept(it.store, before_ms=NEVER_MS) >= 1
    assert_files_are_whole(server, name)
