"""Backup while writes go on, and putting it back."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trio

from tests.support.fenced import fence, trimmed
from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.blob_folder import BlobFolder
from titan.store.contract import Created, Document, Kind, Replaced, WriteMode
from titan.store.migrations import runner
from titan.store.schema import NEWEST_SCHEMA, SchemaUnfit
from titan.store.sqlite.backup import BackupFailed, back_up
from titan.store.sqlite.blobs import blob_folder
from titan.store.sqlite.check import findings
from titan.store.sqlite.lock import AlreadyServed, serve_lock
from titan.store.sqlite.prepare import identity
from titan.store.sqlite.restore import RestoreRefused, restore
from titan.store.sqlite.store import SqliteStore, open_sqlite_store


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "data" / "titan.db")


async def texts(path: Path) -> dict[str, str]:
    """Every document's text by id, as a reader of the file sees it."""
    async with SqliteStore(path) as store:
        return {item.id: json.loads(item.body)["text"] async for item in store.export(Kind.SHELL)}


async def test_a_backup_made_while_writes_go_on_is_one_moment_of_them(path, tmp_path):
    acknowledged: list[int] = []
    async with open_sqlite_store(path) as store, trio.open_nursery() as nursery:
        for number in range(2000):  # something to copy, so that writes fall into the copying
            nursery.start_soon(store.write, document(f"urn:old:{number}", text="x" * 2000), WriteMode.CREATE)
            if number == 1999:
                await store.write(document("urn:old:last"), WriteMode.CREATE)

        async def write_in_order() -> None:
            number = 0
            while True:
                number += 1
                await store.write(document("urn:count", text=str(number)), WriteMode.PUT)
                await store.write(document(f"urn:new:{number}", text=str(number)), WriteMode.CREATE)
                acknowledged.append(number)

        nursery.start_soon(write_in_order)
        await until(lambda: len(acknowledged) >= 5)
        before = len(acknowledged)
        await trio.to_thread.run_sync(back_up, path, tmp_path / "copy.db")
        after = len(acknowledged)
        nursery.cancel_scope.cancel()
    copied = await texts(tmp_path / "copy.db")
    newest = max(int(text) for name, text in copied.items() if name.startswith("urn:new:"))
    assert after > before + 2, "no writes fell into the backup: the test shows nothing"
    assert before <= newest <= after + 1
    assert {name for name in copied if name.startswith("urn:new:")} == {f"urn:new:{n}" for n in range(1, newest + 1)}
    assert int(copied["urn:count"]) in {newest, newest + 1}


def test_a_backup_is_one_private_file(path, tmp_path):
    made = back_up(path, tmp_path / "copy.db")
    copy = tmp_path / "copy.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (copy.stat().st_size, 0) == (made.size, made.files)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["copy.db", "data"]
    assert copy.read_bytes()[18:20] == b"\x01\x01", "not in WAL mode: nothing beside the file belongs to it"


def test_a_backup_never_replaces_a_file(path, tmp_path):
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(BackupFailed, match="exists already"):
        back_up(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_file_that_appears_meanwhile_is_not_replaced_either(path, tmp_path):
    def appear(_done: int, _total: int) -> None:
        (tmp_path / "copy.db").write_text("precious")

    with pytest.raises(BackupFailed, match="exists already"):
        back_up(path, tmp_path / "copy.db", appear)
    assert (tmp_path / "copy.db").read_text() == "precious"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["copy.db", "data"]


def test_no_backup_of_a_damaged_database(path, tmp_path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO element (n, position, content) VALUES (5, 1, x'31')")
        db.commit()
    with pytest.raises(BackupFailed, match="damaged"):
        back_up(path, tmp_path / "copy.db")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["data"]


def test_a_folder_that_is_not_there_is_said(path, tmp_path):
    with pytest.raises(BackupFailed, match="No such file"):
        back_up(path, tmp_path / "nowhere" / "copy.db")


async def test_a_restore_brings_back_what_was_and_nothing_since(path, tmp_path):
    async with open_sqlite_store(path) as store:
        await store.write(document("urn:a", text="then"), WriteMode.CREATE)
        back_up(path, tmp_path / "copy.db")
        await store.write(document("urn:a", text="now"), WriteMode.PUT)
        await store.write(document("urn:b"), WriteMode.CREATE)
    assert restore(tmp_path / "copy.db", path).revision == NEWEST_SCHEMA
    assert await texts(path) == {"urn:a": "then"}
    assert list(findings(path)) == []
    left = {found.name for found in path.parent.iterdir()} - {"titan.db-wal", "titan.db-shm"}
    assert left == {"titan.db", "titan.db-turn", "titan.lock"}


async def test_revisions_never_repeat_after_a_restore_and_the_identity_is_another(path, tmp_path):
    async with open_sqlite_store(path) as store:
        await store.write(document("urn:a"), WriteMode.CREATE)
        back_up(path, tmp_path / "copy.db")
        lost = [await store.write(document("urn:a", text=str(n)), WriteMode.PUT) for n in range(50)]
    before = identity(path)
    restore(tmp_path / "copy.db", path)
    async with open_sqlite_store(path) as store:
        after = await store.write(document("urn:a"), WriteMode.PUT)
    assert isinstance(after, Replaced)
    assert after.revision > max(outcome.revision for outcome in lost if isinstance(outcome, Replaced))
    assert identity(path) != before
    restore(tmp_path / "copy.db", path)
    async with open_sqlite_store(path) as store:
        again = await store.write(document("urn:a"), WriteMode.PUT)
    assert isinstance(again, Replaced)
    assert again.revision > after.revision


async def test_a_restore_into_an_empty_folder_makes_the_store(path, tmp_path):
    async with open_sqlite_store(path) as store:
        await store.write(document("urn:a", text="x"), WriteMode.CREATE)
    back_up(path, tmp_path / "copy.db")
    other = tmp_path / "other" / "titan.db"
    restore(tmp_path / "copy.db", other)
    assert await texts(other) == {"urn:a": "x"}
    assert other.parent.stat().st_mode & 0o777 == 0o700
    assert other.stat().st_mode & 0o777 == 0o600


async def test_a_restore_replaces_a_damaged_database(path, tmp_path):
    back_up(path, tmp_path / "copy.db")
    path.write_bytes(b"ruined" * 10000)
    restore(tmp_path / "copy.db", path)
    async with open_sqlite_store(path) as store:
        assert isinstance(await store.write(document(), WriteMode.CREATE), Created)


def test_no_restore_while_a_server_runs(path, tmp_path):
    back_up(path, tmp_path / "copy.db")
    before = path.read_bytes()
    with serve_lock(path), pytest.raises(AlreadyServed):
        restore(tmp_path / "copy.db", path)
    assert path.read_bytes() == before


async def test_no_restore_while_another_command_has_the_database_open(path, tmp_path):
    back_up(path, tmp_path / "copy.db")
    code = (
        "import sys, trio; from pathlib import Path; from titan.store.sqlite.store import open_sqlite_store\n"
        "async def main():\n"
        "    async with open_sqlite_store(Path(sys.argv[1])):\n"
        "        print('open', flush=True); await trio.sleep(60)\n"
        "trio.run(main)"
    )
    with subprocess.Popen(  # noqa: ASYNC220 (nothing else runs here)
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "open\n"
        before = identity(path)
        with pytest.raises(RestoreRefused, match="another command has the database open"):
            restore(tmp_path / "copy.db", path)
        assert identity(path) == before
        command.kill()


def test_a_damaged_backup_is_refused_before_anything_is_touched(path, tmp_path):
    back_up(path, tmp_path / "copy.db")
    data = (tmp_path / "copy.db").read_bytes()
    (tmp_path / "copy.db").write_bytes(data[:8192] + b"\xff" * 4096 + data[12288:])
    before = path.read_bytes()
    with pytest.raises(RestoreRefused, match="damaged"):
        restore(tmp_path / "copy.db", path)
    assert path.read_bytes() == before


def test_a_backup_of_a_later_program_is_refused(path, tmp_path):
    back_up(path, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        db.execute("UPDATE titan_schema SET revision = '0999', oldest_program = '99'")
        db.commit()
    with pytest.raises(SchemaUnfit):
        restore(tmp_path / "copy.db", path)


async def test_a_backup_of_an_earlier_schema_is_restored_and_upgraded_at_the_next_start(path, tmp_path):
    async with open_sqlite_store(path) as store:
        await store.write(document("urn:a", text="x"), WriteMode.CREATE)
    runner.downgrade(path, "-1")
    back_up(path, tmp_path / "copy.db")
    assert restore(tmp_path / "copy.db", path).revision < NEWEST_SCHEMA
    async with open_sqlite_store(path) as store:
        assert await store.get(Kind.SHELL, "urn:a") is not None


def test_a_missing_backup_is_said(path, tmp_path):
    with pytest.raises(RestoreRefused, match="there is no file"):
        restore(tmp_path / "none.db", path)


async def store_with_file(path: Path, content: bytes) -> str:
    """Make a document that names a file of that content; return the file's key."""
    async with open_sqlite_store(path) as store:
        async with store.blobs.upload() as upload:
            await upload.write(content)
            key = await upload.finish()
        await store.write(Document(Kind.SHELL, "urn:file", b"{}", blobs=frozenset({key})), WriteMode.PUT)
    return key


async def read_file(path: Path, key: str) -> bytes:
    async with SqliteStore(path) as store:
        return b"".join([piece async for piece in store.blobs.read(key)])


async def test_files_go_along(path, tmp_path):
    old = await store_with_file(path, b"then" * 100_000)
    made = back_up(path, tmp_path / "copy.db")
    assert made.files == 1
    new = await store_with_file(path, b"now" * 100_000)
    restore(tmp_path / "copy.db", path)
    assert await read_file(path, old) == b"then" * 100_000
    assert list(findings(path)) == []
    assert not BlobFolder(blob_folder(path)).file(new).exists(), "a file that no row tells of would stay for ever"
    elsewhere = tmp_path / "elsewhere" / "titan.db"
    restore(tmp_path / "copy.db", elsewhere)
    assert await read_file(elsewhere, old) == b"then" * 100_000
    assert list(findings(elsewhere)) == []


@pytest.mark.parametrize("harm", ["missing", "changed"])
async def test_a_file_that_is_not_as_it_came_spoils_the_backup_and_is_named(path, tmp_path, harm):
    key = await store_with_file(path, b"content")
    file = BlobFolder(blob_folder(path)).file(key)
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(b"other")
    with pytest.raises(BackupFailed, match=key):
        back_up(path, tmp_path / "copy.db")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["data"]


async def test_a_backup_whose_files_were_left_behind_is_refused(path, tmp_path):
    await store_with_file(path, b"content")
    back_up(path, tmp_path / "copy.db")
    (tmp_path / "copy.db").rename(tmp_path / "moved.db")
    before = path.read_bytes()
    with pytest.raises(RestoreRefused, match="named and not there"):
        restore(tmp_path / "moved.db", path)
    assert path.read_bytes() == before


async def test_a_folder_of_files_is_not_replaced_either(path, tmp_path):
    await store_with_file(path, b"content")
    (tmp_path / "copy.db-blobs").mkdir()
    with pytest.raises(BackupFailed, match="blobs exists already"):
        back_up(path, tmp_path / "copy.db")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["copy.db-blobs", "data"]


async def test_a_restored_database_is_written_to_while_it_is_read(path, tmp_path):
    """It is in WAL mode from the start: to change the mode later the writer would need the file for itself."""
    back_up(path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", path)
    assert path.read_bytes()[18:20] == b"\x02\x02"


async def test_a_durable_cursor_of_before_a_restore_holds_up_no_trim_and_cannot_be_kept_anew(path, tmp_path):
    async with open_sqlite_store(path) as store:
        cursor = await store.cursor()
        await store.write(document("urn:a"), WriteMode.CREATE)
        assert await store.cursors.keep("mqtt", cursor, fence=await fence(store, "event-publisher"))
        assert await trimmed(store, before_ms=1 << 62) == 0
    back_up(path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", path)
    async with open_sqlite_store(path) as store:
        assert [kept.cursor for kept in await store.cursors.look()] == [cursor]
        assert not await store.cursors.keep("mqtt", cursor, fence=await fence(store, "event-publisher"))
        assert await trimmed(store, before_ms=1 << 62) == 1
