"""A real database with a made-up older or newer schema: served, upgraded or refused, and nothing lost."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from titan.store.contract import Kind, StoreDamaged, WriteMode
from titan.store.migrations import runner
from titan.store.schema import NEWEST_SCHEMA, Fit, SchemaUnfit
from titan.store.sqlite.prepare import look
from titan.store.sqlite.store import open_sqlite_store


@pytest.fixture
async def path(tmp_path):
    """A current database with one document."""
    made = fresh_database(tmp_path / "titan.db")
    async with open_sqlite_store(made) as store:
        await store.write(document("urn:a"), WriteMode.CREATE)
    return made


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def revision(path: Path) -> str:
    found = look(path)
    assert found is not None
    return found.revision


async def test_an_older_schema_is_upgraded_at_start_and_keeps_its_documents(path):
    runner.downgrade(path, "-1")
    assert revision(path) < NEWEST_SCHEMA
    async with open_sqlite_store(path) as store:
        assert await store.get(Kind.SHELL, "urn:a") is not None
    assert revision(path) == NEWEST_SCHEMA


async def test_a_newer_schema_that_this_program_may_serve_is_served_as_it_is(path):
    run(path, "UPDATE titan_schema SET revision = '0999'", "ALTER TABLE document ADD COLUMN later TEXT DEFAULT 'x'")
    async with open_sqlite_store(path) as store:
        assert await store.get(Kind.SHELL, "urn:a") is not None
        await store.write(document("urn:b"), WriteMode.CREATE)
    assert revision(path) == "0999"


async def test_a_newer_schema_that_needs_a_later_program_is_refused_and_not_touched(path):
    run(path, "UPDATE titan_schema SET revision = '0999', oldest_program = '99.0.0'")
    before = path.read_bytes()
    with pytest.raises(SchemaUnfit, match=r"needs titan 99\.0\.0") as refused:
        async with open_sqlite_store(path):
            pass
    assert refused.value.fit is Fit.TOO_NEW
    assert path.read_bytes() == before


async def test_a_newer_schema_without_what_this_program_needs_is_said_plainly(path):
    run(path, "UPDATE titan_schema SET revision = '0999'", "DROP TABLE term")
    with pytest.raises(StoreDamaged, match="no such table: term"):
        async with open_sqlite_store(path):
            pass


async def test_a_database_of_another_program_is_not_touched(tmp_path):
    path = tmp_path / "titan.db"
    run(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="not one of Titan"):
        async with open_sqlite_store(path):
            pass
    assert path.read_bytes() == before


async def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "titan.db"
    path.touch()
    async with open_sqlite_store(path) as store:
        await store.write(document("urn:a"), WriteMode.CREATE)
    assert revision(path) == NEWEST_SCHEMA
