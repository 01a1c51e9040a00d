"""The files that documents name go with their database: into a backup, and back."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.fenced import swept
from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from titan.store.blob_folder import BlobFolder
from titan.store.contract import WriteMode
from titan.store.migrations import runner
from titan.store.sqlite.backup import BackupFailed, back_up
from titan.store.sqlite.blobs import blob_folder
from titan.store.sqlite.check import findings
from titan.store.sqlite.restore import RestoreRefused, restore
from titan.store.sqlite.store import open_sqlite_store


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "data" / "titan.db")


async def put(path: Path, name: str, content: bytes) -> str:
    """Make a document that names a new file."""
    async with open_sqlite_store(path) as store, store.blobs.upload() as upload:
        await upload.write(content)
        key = await upload.finish()
        await store.write(replace(document(name), blobs=frozenset({key})), WriteMode.PUT)
    return key


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a database or a backup, by its key."""
    folder = BlobFolder(blob_folder(path))
    return {key: folder.file(key).read_bytes() for key in folder.all_keys()}


async def test_a_backup_has_the_files_that_documents_name_and_no_others(path, tmp_path):
    copy = tmp_path / "copy.db"
    kept = await put(path, "urn:a", b"kept")
    await put(path, "urn:b", b"replaced")
    new = await put(path, "urn:b", b"new")
    made = back_up(path, copy)
    assert contents(copy) == {kept: b"kept", new: b"new"}
    assert (made.size, made.files) == (copy.stat().st_size, 2)
    assert list(findings(copy)) == []
    assert sorted(found.name for found in tmp_path.iterdir()) == ["copy.db", "copy.db-blobs", "data"]
    for found in blob_folder(copy).rglob("*"):
        assert found.stat().st_mode & 0o077 == 0


async def test_a_name_that_is_taken_meanwhile_leaves_nothing_of_ours(path, tmp_path):
    await put(path, "urn:a", b"x")
    with pytest.raises(BackupFailed, match="exists already"):
        back_up(path, tmp_path / "copy.db", lambda *_: (tmp_path / "copy.db").touch())
    assert sorted(found.name for found in tmp_path.iterdir()) == ["copy.db", "data"]


async def test_a_restore_brings_the_files_back_and_removes_those_since(path, tmp_path):
    old = await put(path, "urn:a", b"old")
    back_up(path, tmp_path / "copy.db")
    await put(path, "urn:a", b"newer")
    await put(path, "urn:b", b"other")
    async with open_sqlite_store(path) as store:
        assert await swept(store, before_ms=1 << 50) == 1
    restore(tmp_path / "copy.db", path)
    assert contents(path) == {old: b"old"}
    assert list(findings(path)) == []
    async with open_sqlite_store(path) as store:
        assert await swept(store, before_ms=1 << 50) == 0
    assert contents(tmp_path / "copy.db") == {old: b"old"}


async def test_a_restore_mends_a_file_that_is_damaged(path, tmp_path):
    key = await put(path, "urn:a", b"x")
    back_up(path, tmp_path / "copy.db")
    BlobFolder(blob_folder(path)).file(key).write_bytes(b"y")
    restore(tmp_path / "copy.db", path)
    assert contents(path) == {key: b"x"}


async def test_a_restore_that_is_refused_late_leaves_the_files_as_they_were(path, tmp_path):
    await put(path, "urn:a", b"x")
    back_up(path, tmp_path / "copy.db")
    await put(path, "urn:a", b"y")
    async with open_sqlite_store(path) as store:
        await swept(store, before_ms=1 << 50)
    before = contents(path)
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM document").fetchall()
        with pytest.raises(RestoreRefused, match="another command"):
            restore(tmp_path / "copy.db", path)
    assert contents(path) == before
    assert list(findings(path)) == []


async def test_what_an_unfinished_grace_time_kept_is_not_promised_by_a_backup(path, tmp_path):
    """The row of a file that nobody names is not restored: naming it again must not bring back a file that is away."""
    loose = await put(path, "urn:a", b"loose")
    await put(path, "urn:a", b"new")
    back_up(path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", path)
    async with open_sqlite_store(path) as store:
        await store.write(replace(document("urn:a"), blobs=frozenset({loose})), WriteMode.PUT)
        assert await store.blobs.look(loose) is None
    assert list(findings(path)) == []


async def test_a_backup_of_a_schema_before_files_is_restored(path, tmp_path):
    runner.downgrade(path, "-1")
    back_up(path, tmp_path / "copy.db")
    runner.upgrade(path)
    await put(path, "urn:a", b"x")
    restore(tmp_path / "copy.db", path)
    assert contents(path) == {}
