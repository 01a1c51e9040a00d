"""A damaged file is found and said plainly, at start or by the check that reads everything."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document, submodel
from titan.store.contract import Kind, StoreDamaged, WriteMode
from titan.store.sqlite.check import INVARIANTS, findings
from titan.store.sqlite.prepare import look
from titan.store.sqlite.store import SqliteStore, open_sqlite_store
from titan.store.sqlite.trouble import TroubleKind


async def fill(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        for number in range(300):
            await store.write(document(f"urn:{number}", text="x" * 500), WriteMode.CREATE)
        await store.write(submodel("urn:s", ("a", "1"), ("b", "2")), WriteMode.CREATE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The bytes of a database of a few hundred documents, all in the main file."""
    made = fresh_database(tmp_path_factory.mktemp("filled") / "titan.db")
    trio.run(fill, made)
    return made.read_bytes()


@pytest.fixture
def path(tmp_path, filled):
    made = tmp_path / "titan.db"
    made.write_bytes(filled)
    return made


def test_a_sound_database_has_no_findings(path):
    assert list(findings(path)) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"this is no database at all" * 1000, "file is not a database"),
        (lambda data: data[: len(data) // 2], "malformed"),
        (lambda data: data[:50], "malformed"),
        (lambda data: data[:100] + b"\xff" * 3996 + data[4096:], "malformed"),
    ],
    ids=["foreign", "cut in half", "cut in the header", "schema page overwritten"],
)
async def test_damage_in_header_or_schema_is_found_at_start(path, damage, said):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreDamaged, match=said):
        async with open_sqlite_store(path):
            pass


async def test_a_damaged_page_fails_the_reads_that_need_it_and_is_found_by_the_check(path):
    data = bytearray(path.read_bytes())
    place = data.index(b'"urn:150"')
    page = place // 4096 * 4096
    data[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    assert look(path) is not None
    assert list(findings(path)) != []
    async with SqliteStore(path) as store:
        with pytest.raises(StoreDamaged, match="malformed"):
            [item async for item in store.export(Kind.SHELL)]
        assert store.trouble is not None
        assert store.trouble.kind is TroubleKind.UNREADABLE
        assert await store.get(Kind.SUBMODEL, "urn:s") is not None


async def test_a_write_that_meets_damage_says_so_and_harms_nothing_else(path):
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'outbox'").fetchone()
    data[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    async with open_sqlite_store(path) as store:
        with pytest.raises(StoreDamaged, match="malformed"):
            await store.write(document("urn:new"), WriteMode.CREATE)
        assert store.trouble is not None
        assert store.trouble.kind is TroubleKind.DAMAGED
        assert await store.get(Kind.SHELL, "urn:1") is not None
        assert await store.get(Kind.SHELL, "urn:new") is None


BREAK = {
    "a document without elements that has some": "UPDATE document SET has_elements = 0 WHERE id = 'urn:s'",
    "a document whose content is no JSON object": "UPDATE document SET header = x'7b22' WHERE id = 'urn:1'",
    "an element whose content is no JSON": "UPDATE element SET content = x'5b' WHERE position > 0",
    "a search term of another kind than its document": (
        "INSERT INTO term VALUES (3, 1, zeroblob(16), (SELECT n FROM document WHERE id = 'urn:1'))"
    ),
    "a revision that was never drawn": "UPDATE sqlite_sequence SET seq = 5 WHERE name = 'outbox'",
    "a document that is not as its newest change says": "DELETE FROM document WHERE id = 'urn:7'",
    "a change that no row of the outbox tells, although later ones are there": "DELETE FROM outbox WHERE id = 'urn:9'",
}


@pytest.mark.parametrize("what", INVARIANTS)
def test_each_broken_invariant_is_found(path, what):
    with closing(sqlite3.connect(path)) as db:
        db.execute(BREAK[what])
        db.commit()
    assert any(line.startswith(what) for line in findings(path)), list(findings(path))


def test_a_reference_to_nothing_is_found(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM document WHERE id = 'urn:s'")
        db.execute("DELETE FROM outbox WHERE id = 'urn:s'")
        db.commit()
    assert any("refers to a document that does not exist" in line for line in findings(path))
