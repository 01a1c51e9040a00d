"""`titan db check` on PostgreSQL: each sort of damage is found and named, and what is sound is not."""

import asyncio

import pytest
import trio

from tests.support.postgres import Postgres
from tests.support.postgres_store import opened
from tests.support.store_documents import document, submodel
from titan.store.contract import Document, Field, Idempotency, Kind, Store, WriteMode
from titan.store.postgres import check
from titan.store.postgres.store import PostgresStore
from titan.store.postgres.url import parse
from titan.store.schema import NEWEST_SCHEMA, Schema

in_thread = trio.to_thread.run_sync


async def findings(url: str) -> list[str]:
    found, lines = await in_thread(lambda: asyncio.run(check.examine(parse(url))))
    assert found is not None
    assert found.revision == NEWEST_SCHEMA
    return lines


async def fill(store: PostgresStore) -> str:
    """Write some of everything; return the key of the file."""
    async with store.blobs.upload() as upload:
        await upload.write(b"x" * 600_000)
        key = await upload.finish()
    named = document("urn:a", terms=((Field.ID_SHORT, "a"),))
    named = Document(named.kind, named.id, named.header, terms=named.terms, blobs=frozenset({key}))
    await store.write(named, WriteMode.CREATE, idempotency=Idempotency(b"key", b"body"))
    await store.write(submodel("urn:s", ("x", "1"), ("y", "2"), blob="QQ=="), WriteMode.CREATE)
    await store.write(submodel("urn:s", ("x", "1"), ("z", "3")), WriteMode.REPLACE)
    await store.write(document("urn:gone"), WriteMode.CREATE)
    await store.delete(Kind.SHELL, "urn:gone")
    return key


@pytest.fixture
async def filled(url):
    async with opened(url) as it:
        yield await fill(it.store)


async def test_what_is_sound_has_no_findings(filled, url):
    assert await findings(url) == []


async def test_nor_has_an_empty_store(url):
    assert await findings(url) == []


N = "(SELECT n FROM titan_document WHERE id = 'urn:{}')"
BREAK = {
    "an element of a document that does not exist": "UPDATE titan_element SET n = 999 WHERE id_short = 'x'",
    "a search term of a document that does not exist": "UPDATE titan_term SET n = 999",
    "a search term of another kind than its document": "UPDATE titan_term SET kind = 3",
    "a document without elements that has some": "UPDATE titan_document SET has_elements = false WHERE kind = 2",
    "a revision that was never drawn": "ALTER SEQUENCE titan_revision RESTART WITH 2",
    "a document that is not as its newest change says": "DELETE FROM titan_outbox WHERE type = 3",
    "a change that no row of the outbox tells": "DELETE FROM titan_outbox WHERE id = 'urn:s'",
    "an idempotency record of a change that no row": "UPDATE titan_idempotency SET revision = revision + 100",
    "a file that a document which does not exist is said to name": "UPDATE titan_blob_use SET n = 999",
    "a file that is named and not there": "UPDATE titan_blob SET state = 2",
    "a piece of a file that does not exist": "DELETE FROM titan_blob",
    "a document that is not found by its id": "UPDATE titan_document SET id = 'urn:other' WHERE id = 'urn:a'",
    "a document whose content is no JSON object": "UPDATE titan_document SET header = '[]' WHERE id = 'urn:a'",
    "an element whose content is no JSON object: ": "UPDATE titan_element SET content = '{' WHERE id_short = 'x'",
    "a file with another content than it came with": (
        "UPDATE titan_blob_chunk SET content = overlay(content PLACING 'y' FROM 7) WHERE number = 1"
    ),
}


@pytest.mark.parametrize(("what", "statement"), BREAK.items())
async def test_what_is_broken_is_named(filled, postgres: Postgres, database, url, what, statement):
    postgres.psql(statement, database)
    found = await findings(url)
    assert any(line.startswith(what) for line in found), found


def test_every_invariant_is_broken_once_above():
    assert [what for what in check.INVARIANTS if not any(what.startswith(broken) for broken in BREAK)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE titan_element SET content = '{\"a\":1}{' WHERE id_short = 'x'",
        "UPDATE titan_element SET content = '' WHERE id_short = 'x'",
        "UPDATE titan_element SET content_without_blobs = '\\xff' WHERE id_short = 'x'",
        "UPDATE titan_blob SET size = size - 1",
        "DELETE FROM titan_blob_chunk WHERE number = 1",
        "UPDATE titan_blob SET key = repeat('0', 64) || '-' || repeat('0', 32)",
    ],
)
async def test_also_what_only_reading_it_shows(filled, postgres, database, url, statement):
    postgres.psql(statement, database)
    assert len(await findings(url)) == 1


async def test_a_table_that_is_not_as_this_program_reads_it_is_a_finding(filled, postgres, database, url):
    postgres.psql("ALTER TABLE titan_document RENAME COLUMN header TO head", database)
    [line] = await findings(url)
    assert line.startswith("cannot be read to the end: column")


async def test_all_is_read_in_batches_and_no_more_is_told_than_can_be_read(
    filled, postgres, database, url, monkeypatch
):
    postgres.psql(
        "INSERT INTO titan_element (n, position, content)"
        " SELECT n, 7 + i, '{' FROM titan_document, generate_series(1, 300) i WHERE id = 'urn:s'",
        database,
    )
    assert len(await findings(url)) == check.MOST_FINDINGS
    monkeypatch.setattr(check, "MOST_FINDINGS", 1000)
    for query in ("_ELEMENTS", "_DOCUMENTS"):
        monkeypatch.setattr(check, query, getattr(check, query).replace(str(check.BATCH_BYTES), "2"))
    assert len(await findings(url)) == 300


async def test_a_schema_of_another_program_is_not_judged(filled, postgres, database, url):
    postgres.psql("UPDATE titan_schema SET revision = '0999', oldest_program = '99.0'", database)
    postgres.psql("DROP TABLE titan_element", database)
    assert await in_thread(lambda: asyncio.run(check.examine(parse(url)))) == (Schema("0999", "99.0"), [])


async def test_it_sees_one_state(filled, postgres, database, url, monkeypatch):
    """A file that is removed after it was listed is read all the same."""
    read = check._read
    removed = []

    async def remove_and_read(session, blob):
        postgres.psql("DELETE FROM titan_blob; DELETE FROM titan_blob_chunk; DELETE FROM titan_blob_use", database)
        removed.append(blob)
        return await read(session, blob)

    monkeypatch.setattr(check, "_read", remove_and_read)
    assert await findings(url) == []
    assert removed
    assert postgres.psql("SELECT count(*) FROM titan_blob_chunk", database) == "0"


async def test_beside_writers_it_finds_nothing_wrong(url):
    async with opened(url) as it, trio.open_nursery() as nursery:
        written = 0

        async def write(store: Store, name: str) -> None:
            nonlocal written
            while True:
                await store.write(submodel(f"urn:{name}", ("x", str(written)), ("y", "2")), WriteMode.PUT)
                if written % 3 == 0:
                    await store.delete(Kind.SUBMODEL, f"urn:{name}")
                written += 1

        for name in "abcd":
            nursery.start_soon(write, it.store, name)
        for _ in range(3):
            before = written
            assert await findings(url) == []
            assert written > before
        nursery.cancel_scope.cancel()
