"""Before a store is opened: the data folder, the file's health as far as a start can see it, its schema."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import trio

from titan.store.contract import StoreDamaged, StoreUnavailable
from titan.store.schema import UPGRADABLE, Fit, Schema, SchemaUnfit, judge, unfit
from titan.store.sqlite import child
from titan.store.sqlite.readers import meaning

APPLICATION_ID = int.from_bytes(b"TdAA")
"""Tells a store of ours from any other SQLite file; written by the first migration."""

NEEDED = (
    "SELECT name, value FROM titan_meta",
    "SELECT n, kind, revision, modified_ms, has_elements, plain_bytes, full_bytes, id, header FROM document",
    "SELECT e, n, position, id_short, content_without_blobs, content FROM element",
    "SELECT kind, field, digest, n FROM term",
    "SELECT revision, kind, type, modified_ms, id FROM outbox",
    "SELECT scope, request, outcome, revision, modified_ms, created_ms FROM idempotency",
    "SELECT key, size, touched_ms, is_going FROM blob",
    "SELECT n, key FROM blob_use",
    "SELECT role, epoch, holder, began_ms FROM epoch",
    "SELECT name, due_ms, requested_ms, started_ms, is_running, ended_ms, outcome, detail FROM task",
    "SELECT succeeded_ms, failures, runs FROM task",
    "SELECT name, label, value FROM figure",
)
"""What this program reads and writes; a servable schema has at least this."""


class DataFolderUnusable(Exception):
    """The folder of the database cannot be used; the text says why and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UpgradeFailed(SchemaUnfit):
    """The database could not be brought to this program's schema; it is as it was before."""


async def prepare(path: Path) -> None:
    """Make the database ready to be served: its folder, then the file, created or upgraded if that is due.

    Raises `DataFolderUnusable`, `StoreDamaged`, `StoreUnavailable` or `SchemaUnfit` (also where an upgrade failed).
    Blocking work is done on a worker thread, migrations in a process of their own.
    """
    await trio.to_thread.run_sync(make_folder, path.parent)
    await trio.to_thread.run_sync(check_files, path)
    found = await trio.to_thread.run_sync(look, path)
    if judge(found) in UPGRADABLE:
        await _migrate(path, judge(found))
        found = await trio.to_thread.run_sync(look, path)
    if error := unfit(found):
        raise error


def make_folder(folder: Path) -> None:
    """Make the data folder, for its owner alone, and see that files can be made in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataFolderUnusable(
            f"the data folder {folder} cannot be used: {error.strerror}; give this user the right to write there, "
            "or name another folder in TITAN_DATA_DIR"
        ) from error


def check_files(path: Path) -> None:
    """See that this user may write what is already there; else SQLite would open it all the same, for reading only."""
    database = path.resolve()
    for file in (database, *(database.with_name(database.name + suffix) for suffix in ("-wal", "-shm", "-turn"))):
        if file.exists() and not may_use(file):
            raise DataFolderUnusable(not_usable(file))


def may_use(file: Path) -> bool:
    """Tell whether this user may read and write the file."""
    return os.access(file, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def not_usable(file: Path) -> str:
    """Say what to do about a file that this user may not use."""
    return (
        f"{file} may not be read and written by this user (uid {os.geteuid()}): another user has made it, or the file "
        "system is read-only; give the data folder with all its files to the user that runs titan"
    )


def look(path: Path) -> Schema | None:
    """Return the schema of the database, None where there is no file or an empty one. Changes nothing.

    Raises `StoreDamaged` where the file is no sound Titan database as far as header and schema tell, and
    `StoreUnavailable` where it cannot be read now.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            return _look(db, path)
    except sqlite3.Error as error:
        reason = meaning(error)
        if isinstance(reason, StoreUnavailable):
            raise reason from error
        raise StoreDamaged(f"{path} is damaged or no database: {error}") from error


def identity(path: Path) -> str:
    """Return the identity of a servable database: another one after each restore."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
        found: str = db.execute("SELECT value FROM titan_meta WHERE name = 'identity'").fetchone()[0]
    return found


def _look(db: sqlite3.Connection, path: Path) -> Schema | None:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables <= {"alembic_version", "sqlite_sequence"}:
        return None
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID or "titan_schema" not in tables:
        raise StoreDamaged(f"{path} is an SQLite database, but not one of Titan")
    row = db.execute("SELECT revision, oldest_program FROM titan_schema").fetchone()
    if row is None:
        raise StoreDamaged(f"{path}: the table titan_schema is empty")
    found = Schema(*row)
    if unfit(found) is None:
        for query in NEEDED:
            db.execute(f"{query} LIMIT 0")
    return found


async def _migrate(path: Path, fit: Fit) -> None:
    """Run the migrations in a process of their own: the server never imports alembic."""
    done = await trio.run_process(
        [*child.command("titan.store.migrations"), "upgrade", str(path)],
        capture_stderr=True,
        check=False,
        env=child.environment(),
    )
    if done.returncode:
        *_, reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise UpgradeFailed(fit, f"the upgrade of {path} failed: {reason}")
