"""`titan db` as an operator sees it: what is printed, which exit code, what is on the disk afterwards."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from titan.cli.db import command
from titan.cli.main import run
from titan.store.contract import WriteMode
from titan.store.schema import NEWEST_SCHEMA
from titan.store.sqlite.lock import serve_lock
from titan.store.sqlite.store import open_sqlite_store


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TITAN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path / "data"


@pytest.fixture
def store(folder):
    """A store with one document."""

    async def fill(path):
        async with open_sqlite_store(path) as opened:
            await opened.write(document("urn:a"), WriteMode.CREATE)

    path = fresh_database(folder / "titan.db")
    trio.run(fill, path)
    return path


def titan(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run `titan db ARGUMENTS`; return exit code, standard output, standard error."""
    code = run(["db", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM document").fetchone()[0])


def test_upgrade_makes_the_store_and_says_so(capsys, folder):
    code, out, _ = titan(capsys, "upgrade")
    assert (code, out) == (0, f"{folder}/titan.db: schema nothing -> {NEWEST_SCHEMA}\n")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert titan(capsys, "upgrade")[1] == f"{folder}/titan.db: schema {NEWEST_SCHEMA}, nothing to do\n"


def test_downgrade_takes_minus_one_literally_and_keeps_documents(capsys, store):
    code, out, err = titan(capsys, "downgrade", "-1")
    assert (code, err) == (0, "")
    assert f"schema {NEWEST_SCHEMA} -> {int(NEWEST_SCHEMA) - 1:04}" in out
    assert titan(capsys, "check")[0] == 4
    assert titan(capsys, "upgrade")[0] == 0
    assert count(store) == 1


def test_downgrade_to_nothing_does_not_delete_documents_by_the_way(capsys, store):
    code, _, err = titan(capsys, "downgrade", "base")
    assert code == 1
    assert "would delete all 1 documents" in err
    assert count(store) == 1
    assert titan(capsys, "downgrade", "base", "--delete-documents")[0] == 0
    assert json.loads(titan(capsys, "current", "--json")[1])["revision"] is None


def test_downgrade_is_refused_while_a_server_runs(capsys, store):
    with serve_lock(store):
        code, _, err = titan(capsys, "downgrade", "-1")
    assert code == 1
    assert f"in use by another titan serve (process {os.getpid()}" in err
    assert titan(capsys, "check")[0] == 0


def test_upgrade_beside_a_server_asks_whether_that_server_can_serve_it(capsys, store):
    titan(capsys, "downgrade", "-1")
    with serve_lock(store):
        (store.parent / "titan.lock").write_text("process 7, titan 0.0.1\n")
        code, _, err = titan(capsys, "upgrade")
        assert code == 1
        assert "the running server is titan 0.0.1" in err
        (store.parent / "titan.lock").write_text("process 7, titan 0.1.0\n")
        assert titan(capsys, "upgrade")[0] == 0


def test_an_unknown_revision_is_a_usage_error(capsys, store):
    for subcommand in ("upgrade", "downgrade"):
        code, _, err = titan(capsys, subcommand, "0815")
        assert code == 2
        assert "0815" in err


def test_current_says_what_there_is_and_what_this_version_serves(capsys, store):
    assert f"schema {NEWEST_SCHEMA} (current)" in titan(capsys, "current")[1]
    shown = json.loads(titan(capsys, "current", "--json")[1])
    assert (shown["revision"], shown["fit"], len(shown["identity"])) == (NEWEST_SCHEMA, "current", 32)


def test_check_of_a_sound_store(capsys, store):
    code, out, err = titan(capsys, "check")
    assert (code, err) == (0, "")
    assert "all is well" in out
    assert json.loads(titan(capsys, "check", "--json")[1])["findings"] == []


def test_check_exits_4_for_a_schema_of_a_later_program_and_where_there_is_none(capsys, store):
    change(store, "UPDATE titan_schema SET revision = '0999', oldest_program = '99.0'")
    code, _, err = titan(capsys, "check")
    assert code == 4
    assert "needs titan 99.0 or later" in err
    for file in store.parent.iterdir():
        file.unlink()
    code, _, err = titan(capsys, "check")
    assert code == 4
    assert "run `titan db upgrade`" in err


def test_check_exits_1_for_damage_and_says_what_and_what_to_do(capsys, store):
    change(store, "DELETE FROM document")
    code, _, err = titan(capsys, "check")
    assert code == 1
    assert "not as its newest change says: 1 urn:a" in err
    assert "restore a backup" in err
    store.write_bytes(b"ruined" * 1000)
    code, _, err = titan(capsys, "check")
    assert code == 1
    assert "file is not a database" in err
    assert "Traceback" not in err


def test_backup_and_restore(capsys, store, tmp_path):
    copy = tmp_path / "copy.db"
    code, out, _ = titan(capsys, "backup", copy)
    assert code == 0
    assert f"schema {NEWEST_SCHEMA}, checked" in out
    change(store, "DELETE FROM document")
    code, out, _ = titan(capsys, "restore", copy, "--json")
    assert code == 0
    assert json.loads(out) == {"store": str(store), "revision": NEWEST_SCHEMA}
    assert count(store) == 1


def test_backup_says_why_not_in_one_line(capsys, store, tmp_path):
    copy = tmp_path / "copy.db"
    copy.touch()
    code, _, err = titan(capsys, "backup", copy)
    assert (code, err) == (1, f"Error: {copy} exists already; a backup never replaces a file\n")


def test_backup_without_a_store(capsys, folder, tmp_path):
    code, _, err = titan(capsys, "backup", tmp_path / "copy.db")
    assert (code, err) == (1, f"Error: there is no store at {folder}/titan.db\n")


def test_restore_is_refused_while_a_server_runs(capsys, store, tmp_path):
    titan(capsys, "backup", tmp_path / "copy.db")
    with serve_lock(store):
        code, _, err = titan(capsys, "restore", tmp_path / "copy.db")
    assert code == 1
    assert "stop it first" in err


def test_restore_of_a_later_schema_exits_4(capsys, store, tmp_path):
    titan(capsys, "backup", tmp_path / "copy.db")
    change(tmp_path / "copy.db", "UPDATE titan_schema SET revision = '0999', oldest_program = '99'")
    assert titan(capsys, "restore", tmp_path / "copy.db")[0] == 4


def test_a_database_named_by_url(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert titan(capsys, "upgrade")[0] == 0
    assert (tmp_path / "other.db").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_one_clear_line(capsys, tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("TITAN_DATA_DIR", str(tmp_path))
    code, _, err = titan(capsys, "upgrade")
    assert code == 1
    assert "cannot be used: Permission denied" in err


def test_a_folder_that_cannot_be_made_is_one_clear_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TITAN_DATA_DIR", str(tmp_path / "file" / "data"))
    code, _, err = titan(capsys, "upgrade")
    assert code == 1
    assert "cannot be used: Not a directory" in err
    assert "TITAN_DATA_DIR" in err


@pytest.mark.parametrize("name", command.commands)
def test_every_command_has_help_with_an_example(capsys, name):
    code, out, _ = titan(capsys, name, "--help")
    assert code == 0
    assert f"titan db {name}" in out.partition("Example:")[2]
