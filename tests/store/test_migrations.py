"""Migrations: up and down on data, in one transaction, without holes."""

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.fenced import swept
from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document, submodel
from titan.store.contract import Idempotency, Kind, WriteMode
from titan.store.migrations import runner
from titan.store.schema import NEWEST_SCHEMA
from titan.store.sqlite.check import findings
from titan.store.sqlite.store import open_sqlite_store


def content(path: Path) -> tuple[list[Any], dict[str, list[Any]]]:
    """Everything in the database: the SQL of its schema and the rows of every table."""
    with closing(sqlite3.connect(path)) as db:
        schema = sorted(db.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"))
        tables = [name for kind, name, _ in schema if kind == "table"]
        return schema, {table: sorted(db.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


async def fill(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        await store.write(document("urn:a", terms=()), WriteMode.CREATE, idempotency=Idempotency(b"key", b"body"))
        await store.write(submodel("urn:s", ("x", "1"), ("y", "2"), blob="QQ=="), WriteMode.CREATE)
        await store.write(document("urn:gone"), WriteMode.CREATE)
        await store.delete(Kind.SHELL, "urn:gone")


async def fill_with_a_file(path: Path) -> str:
    async with open_sqlite_store(path) as store, store.blobs.upload() as upload:
        await upload.write(b"content")
        key = await upload.finish()
        await store.write(replace(document("urn:b"), blobs=frozenset({key})), WriteMode.CREATE)
    return key


async def lead(path: Path) -> int:
    """Begin a term, whose number must never come again."""
    async with open_sqlite_store(path) as store:
        return await store.begin_term("cleanup-worker", "one")


async def test_one_step_down_and_up_keeps_everything(tmp_path):
    path = fresh_database(tmp_path / "titan.db")
    await fill(path)
    await fill_with_a_file(path)
    assert await lead(path) == 1
    before = content(path)
    runner.downgrade(path, "-1")
    runner.upgrade(path)
    assert content(path) == before
    assert list(findings(path)) == []
    assert await lead(path) == 2


async def test_down_to_the_first_step_and_up_forgets_idempotency_records_and_nothing_else(tmp_path):
    path = fresh_database(tmp_path / "titan.db")
    await fill(path)
    schema, rows = content(path)
    runner.downgrade(path, "0001")
    runner.upgrade(path)
    schema_after, rows_after = content(path)
    assert schema_after == schema
    assert rows_after.pop("idempotency") == []
    assert len(rows.pop("idempotency")) == 1
    assert rows_after == rows
    assert list(findings(path)) == []


async def test_the_program_before_files_works_on_what_a_step_down_leaves(tmp_path):
    """It deletes a document without a look at whose files it named; the way up lets them go."""
    path = fresh_database(tmp_path / "titan.db")
    key = await fill_with_a_file(path)
    runner.downgrade(path, "0002")
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM document")
        db.execute("DELETE FROM outbox")
        db.commit()
    runner.upgrade(path)
    assert list(findings(path)) == []
    async with open_sqlite_store(path) as store:
        assert await swept(store, before_ms=1 << 50) == 1
        assert await store.blobs.look(key) is None


async def test_every_step_can_be_gone_down_and_up_on_data(tmp_path):
    path = fresh_database(tmp_path / "titan.db")
    await fill(path)
    await fill_with_a_file(path)
    for script in reversed(runner.chain()[1:]):
        before = content(path)[0]
        runner.downgrade(path, "-1")
        runner.upgrade(path, script.revision)
        assert content(path)[0] == before
        runner.downgrade(path, "-1")
    assert content(path)[1]["document"] != []


def test_down_to_nothing_leaves_nothing_and_up_again_makes_the_same(tmp_path):
    path = fresh_database(tmp_path / "titan.db")
    schema, _ = content(path)
    runner.downgrade(path, "base")
    assert {name for _, name, _ in content(path)[0]} <= {
        "alembic_version",
        "sqlite_sequence",
        "sqlite_autoindex_alembic_version_1",
    }
    runner.upgrade(path)
    assert content(path)[0] == schema


@pytest.mark.parametrize("target", ["base", f"-{int(NEWEST_SCHEMA)}"])
async def test_documents_are_not_dropped_by_the_way(tmp_path, target):
    path = fresh_database(tmp_path / "titan.db")
    await fill(path)
    await fill_with_a_file(path)
    assert await lead(path) == 1
    before = content(path)
    with pytest.raises(runner.NotMigrated, match="delete all 3 documents"):
        runner.downgrade(path, target)
    assert content(path) == before
    runner.downgrade(path, target, may_delete_documents=True)
    assert not content(path)[1].keys() - {"alembic_version", "sqlite_sequence"}


def test_the_schema_row_follows_every_step(tmp_path):
    path = tmp_path / "titan.db"
    for script in runner.chain():
        runner.upgrade(path, script.revision)
        rows = content(path)[1]
        assert rows["titan_schema"] == [(1, script.revision, script.module.oldest_program)]
        assert rows["alembic_version"] == [(script.revision,)]
    for script in reversed(runner.chain()[:-1]):
        runner.downgrade(path, "-1")
        assert content(path)[1]["titan_schema"] == [(1, script.revision, script.module.oldest_program)]


def test_the_file_is_for_its_owner_alone_and_in_wal_mode(tmp_path):
    path = tmp_path / "titan.db"
    runner.upgrade(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_unknown_revision_is_refused(tmp_path):
    with pytest.raises(runner.UnknownRevision):
        runner.upgrade(tmp_path / "titan.db", "0815")


MIGRATION = """
    from titan.store.migrations.sql import run

    revision = "{revision}"
    down_revision = {down!r}
    oldest_program = "0.1.0"
    UP = {up!r}
    DOWN = ("SELECT 1",)

    def upgrade():
        run(UP)

    def downgrade():
        run(DOWN)
"""
FIRST_UP = (
    "CREATE TABLE titan_schema (one INTEGER PRIMARY KEY, revision TEXT, oldest_program TEXT)",
    "CREATE TABLE kept (x)",
)


def write_migration(
    folder: Path, name: str, revision: str, down: str | None, up: tuple[str, ...] = ("SELECT 1",)
) -> None:
    text = MIGRATION.format(revision=revision, down=down, up=up)
    (folder / name).write_text(textwrap.dedent(text))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "migrations"
    made.mkdir()
    write_migration(made, "0001_first.py", "0001", None, FIRST_UP)
    return made


def test_a_hole_in_the_numbers_is_refused(folder):
    write_migration(folder, "0003_third.py", "0003", "0001")
    with pytest.raises(runner.BrokenChain, match="number 0002 is expected"):
        runner.chain(folder)


def test_a_branch_is_refused(folder):
    write_migration(folder, "0002_second.py", "0002", "0001")
    write_migration(folder, "0003_third.py", "0003", "0001")
    with pytest.raises(runner.BrokenChain, match="must follow 0002"):
        runner.chain(folder)


def test_a_file_named_for_another_revision_is_refused(folder):
    write_migration(folder, "0003_second.py", "0002", "0001")
    with pytest.raises(runner.BrokenChain, match="number 0002 is expected here, in name and file"):
        runner.chain(folder)


def test_a_migration_without_its_way_back_or_its_oldest_program_is_refused(folder):
    path = folder / "0001_first.py"
    for part in ("DOWN", "oldest_program"):
        write_migration(folder, "0001_first.py", "0001", None, FIRST_UP)
        path.write_text(path.read_text().replace(f"{part} = ", "other = "))
        with pytest.raises(runner.BrokenChain, match=f"has no {part}"):
            runner.chain(folder)


def test_an_upgrade_that_fails_half_way_changes_nothing(tmp_path, folder):
    path = tmp_path / "titan.db"
    runner.upgrade(path, folder=folder)
    before = content(path)
    write_migration(folder, "0002_good.py", "0002", "0001", ("DROP TABLE kept", "CREATE TABLE fresh (y)"))
    write_migration(folder, "0003_bad.py", "0003", "0002", ("CREATE TABLE more (z)", "SELECT * FROM nowhere"))
    with pytest.raises(Exception, match="nowhere"):
        runner.upgrade(path, folder=folder)
    assert content(path) == before


def test_two_upgrades_at_once_are_one_upgrade(tmp_path):
    path = tmp_path / "titan.db"
    command = [sys.executable, "-m", "titan.store.migrations", "upgrade", path]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0
    assert list(findings(path)) == []


def test_the_server_never_imports_alembic():
    code = (
        "import sys\n"
        "import titan.store.sqlite.store, supervisors.actors.sqlite_writer\n"
        "sys.exit(bool({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_writer_process_stays_lean():
    code = (
        "import sys\n"
        "import titan.store.sqlite.writer\n"
        "print(sorted({'trio', 'dataclasses', 'typing', 'hashlib', 'pathlib', 'enum'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "trio" not in found
    assert "hashlib" not in found
    assert "dataclasses" not in found
