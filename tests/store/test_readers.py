"""Where reads run, what stops them, and that they cannot write."""

import sqlite3
import threading
from contextlib import closing

import pytest
import trio

from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document, submodel
from tests.support.waiting import until
from titan.store.contract import Document, Element, Field, Kind, StoreDamaged, StoreUnavailable, Term, WriteMode
from titan.store.sqlite.readers import LONG_READS, Readers, WouldWait
from titan.store.sqlite.store import INLINE_MAX_BYTES, SqliteStore, open_sqlite_store

FOR_EVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "titan.db")


@pytest.fixture
async def readers(path):
    made = Readers(path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def locked(tmp_path):
    """A read that meets a lock of another connection."""
    name = tmp_path / "locked.db"
    with closing(sqlite3.connect(name, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("BEGIN EXCLUSIVE")

        def read(_):
            with closing(sqlite3.connect(name, timeout=0)) as other:
                return other.execute("SELECT * FROM t").fetchall()

        yield read


async def test_a_read_that_meets_a_lock_does_not_wait_on_the_loops_thread(readers, locked):
    with pytest.raises(WouldWait):
        readers.here(locked)


async def test_a_read_that_meets_a_lock_for_long_is_unavailable(readers, locked):
    with pytest.raises(StoreUnavailable, match="locked"):
        await readers.there(locked)


async def test_a_read_that_meets_a_lock_here_is_made_elsewhere(path, locked):
    async with SqliteStore(path) as store:
        main = threading.get_ident()

        def read(db):
            return locked(db) if threading.get_ident() == main else "elsewhere"

        assert await store._soon(read) == "elsewhere"


async def test_readers_cannot_write(readers):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        readers.here(lambda db: db.execute("DELETE FROM document"))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await readers.there(lambda db: db.execute("DELETE FROM document"))


async def test_a_cancelled_long_read_ends_at_once_and_gives_its_thread_back(readers):
    for _ in range(3):
        async with trio.open_nursery() as nursery:
            for _ in range(LONG_READS):
                nursery.start_soon(readers.there, lambda db: db.execute(FOR_EVER).fetchone())
            await until(lambda: readers._limiter.borrowed_tokens == LONG_READS)
            nursery.cancel_scope.cancel()
        await until(lambda: readers._limiter.borrowed_tokens == 0, within_s=2)
        assert await readers.there(lambda db: db.execute("SELECT 1").fetchone()) == (1,)


async def test_a_close_ends_reads_that_nobody_waits_for(path):
    readers = Readers(path)
    await readers.open()
    with trio.move_on_after(0.05):
        await readers.there(lambda db: db.execute(FOR_EVER).fetchone())
    with trio.fail_after(2):
        await readers.close()


async def test_a_damaged_file_is_told_apart_from_one_that_cannot_be_read_now(readers, tmp_path):
    (tmp_path / "ruined.db").write_bytes(b"ruined" * 1000)

    def read(_):
        with closing(sqlite3.connect(tmp_path / "ruined.db")) as db:
            return db.execute("SELECT * FROM t").fetchall()

    with pytest.raises(StoreDamaged):
        readers.here(read)
    assert readers.trouble is not None
    with pytest.raises(StoreUnavailable, match="unable to open"):
        readers.here(lambda _: sqlite3.connect(tmp_path / "none" / "x.db"))


async def test_what_is_short_is_read_on_the_loops_thread_and_what_is_long_is_not(path, monkeypatch):
    big = Document(Kind.SUBMODEL, "big", b'{"id":"big"}', (Element("e", b'"' + b"x" * INLINE_MAX_BYTES + b'"'),))
    async with open_sqlite_store(path) as store:
        await store.write(document("small", terms=((Field.ID_SHORT, "a"), (Field.ID_SHORT, "b"))), WriteMode.CREATE)
        await store.write(big, WriteMode.CREATE)
        await store.write(submodel("blob", ("a", "1"), blob="x" * INLINE_MAX_BYTES), WriteMode.CREATE)
        elsewhere = []
        there = store._readers.there

        async def note(read):
            elsewhere.append(read)
            return await there(read)

        monkeypatch.setattr(store._readers, "there", note)

        async def is_elsewhere(call) -> bool:
            elsewhere.clear()
            await call
            return bool(elsewhere)

        a, b = Term(Field.ID_SHORT, "a"), Term(Field.ID_SHORT, "b")
        assert not await is_elsewhere(store.get(Kind.SHELL, "small"))
        assert not await is_elsewhere(store.get(Kind.SHELL, "small", with_blobs=True))
        assert not await is_elsewhere(store.get(Kind.SUBMODEL, "blob"))
        assert not await is_elsewhere(store.page(Kind.SHELL, terms=[a]))
        assert not await is_elsewhere(store.changes())
        assert await is_elsewhere(store.get(Kind.SUBMODEL, "blob", with_blobs=True))
        assert await is_elsewhere(store.get(Kind.SUBMODEL, "big"))
        assert await is_elsewhere(store.page(Kind.SUBMODEL))
        assert await is_elsewhere(store.page(Kind.SHELL, terms=[a, b]))
        for number in range(70):
            await store.write(document(str(number)), WriteMode.CREATE)
        assert await is_elsewhere(store.changes())
